using System.Globalization;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Bench;

/// <summary>What a step needs beside weights and optimizer: with gradient checkpointing against without, and with a vocabulary whose logits would fill the memory.</summary>
internal static class StepMemory
{
    public static void Run()
    {
        const int Rows = 32, Length = 256;
        double plain = OfEncoder(Rows, Length, checkpointing: false), checkpointed = OfEncoder(Rows, Length, checkpointing: true);
        Print($"activations and gradients, DistilBERT shape, {Rows} x {Length}, fp32", "with gradient checkpointing", checkpointed, "without", plain, 0.5);

        const int Vocabulary = 131_072, Tokens = 4096;
        Print($"a language model's step, vocabulary {Vocabulary}, {Tokens} tokens, fp32", "all that it needs", OfLanguageModel(Vocabulary, Tokens), "the logits alone", (double)Vocabulary * Tokens * sizeof(float), 0.25);
    }

    private static double OfEncoder(int rows, int length, bool checkpointing)
    {
        var config = new DistilBertConfig { ModelType = "distilbert", VocabSize = 30_522, Dim = 768, HiddenDim = 3072, NLayers = 6, NHeads = 12, MaxPositionEmbeddings = 512 };
        using var ids = randint(1, config.VocabSize, [rows, length], dtype: ScalarType.Int64);
        using var labels = randint(0, 2, [rows], dtype: ScalarType.Int64);
        return Peak(config, ModelHead.SequenceClassification, checkpointing, new(new ModelInputs(ids), labels, rows, rows * length, rows),
            (model, batch) => new(ClassificationLoss.Sum(ProblemType.SingleLabelClassification, model.call(batch.Inputs), batch.Labels)));
    }

    private static double OfLanguageModel(int vocabulary, int tokens)
    {
        var config = new LlamaConfig { ModelType = "llama", VocabSize = vocabulary, HiddenSize = 256, IntermediateSize = 512, NumHiddenLayers = 1, NumAttentionHeads = 4, MaxPositionEmbeddings = 1024 };
        using var ids = randint(1, vocabulary, [tokens / 1024, 1024], dtype: ScalarType.Int64);
        return Peak(config, ModelHead.CausalLm, false, new(new ModelInputs(ids), ids, tokens / 1024, tokens, tokens), (model, batch) => NextTokens.Of((CausalLanguageModel)model, batch).Sum(null));
    }

    private static long Peak(PretrainedConfig config, ModelHead head, bool checkpointing, Batch batch, Func<PretrainedModel, Batch, TaskLoss> loss)
    {
        using var model = config.Create(head);
        using (var generator = new Generator(1))
            model.InitializeWeights(model.state_dict().Keys.ToHashSet(), generator);
        model.train();
        if (checkpointing)
            model.EnableGradientCheckpointing();
        using var optimizer = Optimizer.Create(model, new());
        var step = new TrainingStep(model, loss, optimizer, maxGradNorm: 1);
        Take(); // The kernels' own buffers belong to the process.
        HostMemory.GiveBack();
        using var sampler = new MemorySampler();
        Take();
        return sampler.Stop().Bytes;

        void Take()
        {
            using var scope = NewDisposeScope();
            step.Run([batch], 1e-5);
        }
    }

    private static void Print(string what, string ours, double bytes, string theirs, double against, double bar) => Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"{what}: {ours} {bytes / 1e6:F0} MB, {theirs} {against / 1e6:F0} MB, ratio {bytes / against:F2}, bar {bar:F2}"));
}
