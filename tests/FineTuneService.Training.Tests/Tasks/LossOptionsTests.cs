using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using FineTuneService.Training.Tests.Optimization;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Tasks;

[Collection(GlobalGenerator.Name)]
public sealed class LossOptionsTests : IDisposable
{
    private static readonly JsonObject Golden = Goldens.Read();
    private static readonly float[] ClassWeights = [0.5f, 2, 1.5f, 3];
    private static readonly long[] Labels = [0, 3, 1, 1, 2, 0], Tokens = [0, -100, 1, -100, 2, 3];

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly LanguageFixtures _files = new();

    public static TheoryData<string> Losses => [.. Golden["losses"]!.AsArray().Select(golden => golden!["name"]!.GetValue<string>())];

    public void Dispose()
    {
        _files.Dispose();
        _scope.Dispose();
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public void Losses_and_their_gradients_are_those_of_the_reference(string name)
    {
        var golden = Golden["losses"]!.AsArray().Single(golden => golden!["name"]!.GetValue<string>() == name)!;
        var logits = Goldens.Formula([6, 4], i => 3 * Math.Sin(0.9 * i)).requires_grad_();
        var rows = tensor(Labels.Select(label => ClassWeights[label]).ToArray());
        var many = tensor(Golden["many"].Numbers().Select(number => (float)number).ToArray()).reshape(6, 4);
        const ProblemType Single = ProblemType.SingleLabelClassification;

        var loss = name switch
        {
            "smoothed" => ClassificationLoss.Sum(Single, logits, tensor(Labels), 0.2, 0, null) / 6,
            "smoothed tokens" => LanguageModelLoss.Sum(logits.unsqueeze(0), tensor(Tokens).unsqueeze(0), smoothing: 0.2) / 4,
            "smoothed causal" => LanguageModelLoss.Sum(logits.unsqueeze(0), LanguageModelLoss.Shifted(tensor(new long[] { -100, 3, 1, -100, 2, 0 }).unsqueeze(0)), smoothing: 0.2) / 4,
            "class weights" => ClassificationLoss.Sum(Single, logits, tensor(Labels), 0, 0, rows) / rows.sum(),
            "focal 2" => ClassificationLoss.Sum(Single, logits, tensor(Labels), 0, 2, null) / 6,
            "focal 0.5" => ClassificationLoss.Sum(Single, logits, tensor(Labels), 0, 0.5, null) / 6,
            "multi-label focal 2" => ClassificationLoss.Sum(ProblemType.MultiLabelClassification, logits, many, 0, 2, null) / 24,
            _ => throw new InvalidOperationException(name),
        };
        loss.backward();

        Assert.Equal(golden["loss"]!.GetValue<double>(), loss.ToDouble(), 1e-6);
        Assert.All(golden["gradient"].Numbers().Zip(logits.grad!.flatten().data<float>().ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
    }

    [Theory]
    [InlineData("\"balanced\"", 2f / 3, 2)]
    [InlineData("[2, 5]", 2, 5)]
    [InlineData("{\"b\": 3}", 1, 3)]
    public void A_row_counts_by_its_class(string weights, float a, float b)
    {
        var task = Load(weights);
        using var batch = task.Train.Collate([0, 1, 2, 3]);

        Assert.Equal([a, a, a, b], batch.Weights!.data<float>().ToArray());
        Assert.Equal(3 * a + b, batch.Targets, 1e-6);
        using var scored = task.Validation!.Collate([0]);
        Assert.Null(scored.Weights);
    }

    [Theory]
    [InlineData("\"equal\"", "/task/class_weights")]
    [InlineData("[1]", "/task/class_weights")]
    [InlineData("[1, 0]", "/task/class_weights")]
    [InlineData("{\"c\": 1}", "/task/class_weights/c")]
    public void Weights_that_do_not_fit_the_labels_are_refused(string weights, string pointer) =>
        Assert.Equal(pointer, Assert.Single(Assert.Throws<FaultException>(() => Load(weights)).Faults).Pointer);

    [Fact]
    public void Options_that_a_loss_cannot_follow_are_refused()
    {
        var faults = new FaultList();
        var config = new TextClassificationConfig { ProblemType = ProblemType.Regression, FocalGamma = 2, ClassWeights = JsonSerializer.SerializeToElement("balanced") };
        config.CheckTraining(new() { LabelSmoothingFactor = 0.1 }, faults);
        new DpoConfig().CheckTraining(new() { LabelSmoothingFactor = 0.1, NeftuneNoiseAlpha = 5 }, faults);

        Assert.Equal(
            ["/training/label_smoothing_factor", "/task/class_weights", "/task/focal_gamma", "/training/label_smoothing_factor", "/training/neftune_noise_alpha"],
            faults.All.Select(fault => fault.Pointer));
    }

    /// <summary>transformers' neftune_post_forward_hook: uniform within ± α / √(length · width), while training.</summary>
    [Fact]
    public void Noise_on_embeddings_is_a_function_of_the_seed_and_gone_in_evaluation()
    {
        using var model = PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);
        using (no_grad())
            foreach (var parameter in model.parameters())
                parameter.fill_(0);
        model.AddEmbeddingNoise(5);
        var table = model.modules().OfType<Embedding>().Single();
        var ids = arange(0, 24, dtype: ScalarType.Int64).reshape(2, 12);
        Tensor Rows(long seed)
        {
            manual_seed(seed);
            return table.call(ids).detach();
        }

        model.train();
        var noise = Rows(1);
        Assert.InRange(noise.abs().max().ToDouble(), 0.25, 5 / Math.Sqrt(12 * 32));
        Assert.Equal(noise, Rows(1));
        Assert.NotEqual(noise, Rows(2));
        model.eval();
        Assert.Equal(0, Rows(1).abs().max().ToDouble());
    }

    private TrainingTask Load(string weights)
    {
        string[] rows = ["""{"text": "one", "label": "a"}""", """{"text": "two", "label": "a"}""", """{"text": "three", "label": "a"}""", """{"text": "four", "label": "b"}"""];
        var train = _files.Write("train.jsonl", rows);
        var config = new TextClassificationConfig { ClassWeights = JsonDocument.Parse(weights).RootElement };
        return config.Load(new() { Train = train, Validation = train, TextColumn = "text", LabelColumn = "label" }, new() { MaxLength = 16 }, LanguageFixtures.Tokenizer);
    }
}
