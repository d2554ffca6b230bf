using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Tasks;

[Collection(GlobalGenerator.Name)]
public sealed class LanguageModelTaskTests : IDisposable
{
    private readonly LanguageFixtures _files = new();
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly PretrainedModel _model = PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);

    public LanguageModelTaskTests() => PretrainedFolder.LoadWeights(LanguageFixtures.TinyLlama, _model, seed: 0);

    public void Dispose()
    {
        _model.Dispose();
        _scope.Dispose();
        _files.Dispose();
    }

    [Fact]
    public void A_packed_row_costs_what_its_documents_cost_alone()
    {
        IReadOnlyList<TokenSequence> documents = [Text(5, 20), Text(6, 3), Text(7, 11)];
        var packed = LanguageFixtures.Collate([documents, [Text(8, 30)]], 0);
        var alone = documents.Append(Text(8, 30)).Select(document => LanguageFixtures.Collate([[document]], 0)).ToArray();
        var task = Load("causal-lm", """{"text": "a b"}""", """{"text": "c d"}""");

        var (together, gradients) = Accumulate(task, packed);
        var (apart, sums) = Accumulate(task, alone);

        Assert.Equal(alone.Sum(batch => batch.Targets), packed.Targets);
        Assert.Equal(apart, together, 1e-5);
        Assert.All(gradients, gradient => Assert.InRange((gradient.Value - sums[gradient.Key]).abs().max().ToDouble(), 0, 1e-5));
    }

    [Fact]
    public void What_one_document_says_changes_nothing_in_another()
    {
        using var _ = no_grad();
        var before = _model.call(LanguageFixtures.Collate([[Text(1, 9), Text(2, 7), Text(3, 5)]], 0).Inputs);
        var after = _model.call(LanguageFixtures.Collate([[Text(4, 9), Text(2, 7), Text(9, 5)]], 0).Inputs);

        Assert.True(before[.., 9..16].allclose(after[.., 9..16], rtol: 0, atol: 1e-6));
        Assert.False(before[.., ..9].allclose(after[.., ..9]));
    }

    [Fact]
    public void Micro_batches_with_unlike_numbers_of_labels_make_the_step_of_the_big_batch()
    {
        var task = Load("causal-lm", """{"text": "a b"}""", """{"text": "c d"}""");
        TokenSequence masked = new(Text(5, 20).Ids, [.. Enumerable.Range(0, 20).Select(at => at > 17 ? 0.5f : 0)]);

        var (big, gradients) = Accumulate(task, LanguageFixtures.Collate([[masked], [Text(6, 30)], [Text(7, 4)]], 0));
        var (small, sums) = Accumulate(task, LanguageFixtures.Collate([[masked]], 0), LanguageFixtures.Collate([[Text(6, 30)], [Text(7, 4)]], 0));

        Assert.Equal(big, small, 1e-5);
        Assert.All(gradients, gradient => Assert.InRange((gradient.Value - sums[gradient.Key]).abs().max().ToDouble(), 0, 1e-6));
    }

    [Fact]
    public void Metrics_are_means_over_tokens_and_perplexity_their_exponential()
    {
        var task = Load("causal-lm", """{"text": "a b"}""", """{"text": "c d"}""");
        var scorer = task.CreateScorer();
        var batches = new[] { LanguageFixtures.Collate([[Text(5, 20)]], 0), LanguageFixtures.Collate([[Text(6, 4)]], 0) };
        using var _ = no_grad();
        foreach (var batch in batches)
            scorer.Add(_model, batch);

        var metrics = scorer.Compute().Metrics;

        var logits = batches.Select(batch => _model.call(batch.Inputs)[0, ..^1]).ToArray(); // [seq − 1, vocabulary]
        var labels = batches.Select(batch => batch.Inputs.InputIds[0, 1..]).ToArray();
        Assert.Equal(nn.functional.cross_entropy(cat(logits), cat(labels)).ToDouble(), metrics["loss"], 1e-6);
        Assert.Equal(Math.Exp(metrics["loss"]), metrics["perplexity"], 1e-9);
        Assert.Equal(cat(logits).argmax(-1).eq(cat(labels)).to(ScalarType.Float64).mean().ToDouble(), metrics["mean_token_accuracy"], 1e-9);
    }

    /// <summary>A run that does badly is told in JSON too.</summary>
    [Fact]
    public void Perplexity_is_a_number_whatever_the_loss()
    {
        Assert.Equal(Math.Exp(3), LanguageModelLoss.Perplexity(3));
        Assert.Equal(double.MaxValue, LanguageModelLoss.Perplexity(1000));
    }

    [Fact]
    public void Long_documents_and_separators_lose_no_token()
    {
        var task = Load("""{"type": "causal-lm", "document_separator": "***", "packing": true}""", maxLength: 16, JsonSerializer.Serialize(new { text = $"{new string('x', 300)}***short***  " }), """{"text": "one more"}""", """{"text": ""}""");

        using var batch = task.Train.Collate([.. Enumerable.Range(0, task.Train.Count)]);

        var lengths = new[] { new string('x', 300), "short", "one more" }.Select(text => LanguageFixtures.Tokenizer.Encode(text).Ids.Length + 1).ToArray();
        Assert.Equal(lengths.Sum(length => length - 1), batch.Targets);
        Assert.Equal(3, batch.Labels.eq(LanguageFixtures.Tokenizer.EosTokenId!.Value).sum().ToInt32());
        Assert.Contains("3 rows, 2 used, 1 dropped (no text; lines 3)", string.Join('\n', task.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void Sixty_steps_on_Shakespeare_teach_something()
    {
        var path = Path.Combine(AppContext.BaseDirectory, "samples", "shakespeare", "train.jsonl");
        var arguments = new TrainingArguments { PerDeviceTrainBatchSize = 8, MaxLength = 128, MaxSteps = 60, LearningRate = 1e-2 };
        var task = new CausalLmConfig().Load(new DatasetSpec { Train = path, TextColumn = "text", ValidationSplit = 0 }, arguments, LanguageFixtures.Tokenizer);
        using var optimizer = new AdamW(_model, 0, 0.9, 0.999, 1e-8);
        var step = new TrainingStep(_model, task.Loss, optimizer, 1);
        var losses = new List<double>();
        foreach (var batches in DataLoader.TrainingSteps(task.Train, arguments, new StepPlan(arguments, task.Train.Count), 0))
        {
            using var scope = NewDisposeScope();
            losses.Add(step.Run(batches, arguments.LearningRate.Resolved)[TrainingStep.Loss].ToDouble());
        }

        Assert.Equal(60, losses.Count);
        Assert.Equal(Math.Log(512), losses[0], 0.1); // Random weights know nothing.
        Assert.InRange(losses[^10..].Average(), 1, 5.2);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Steps_leave_no_tensor_behind(bool frozenHead)
    {
        _model.get_parameter("model.embed_tokens.weight")!.requires_grad = !frozenHead;
        var task = Load("causal-lm", [.. Enumerable.Range(0, 40).Select(row => $$"""{"text": "to be or not to be {{row}}"}""")]);
        using var optimizer = new AdamW(_model, 0, 0.9, 0.999, 1e-8);
        var step = new TrainingStep(_model, task.Loss, optimizer, 1);
        Train(3); // What lives as long as the optimizer is made in the first step.
        var before = Live();
        Train(30);

        Assert.Equal(before, Live());

        void Train(int steps)
        {
            var arguments = new TrainingArguments { PerDeviceTrainBatchSize = 2, MaxSteps = steps };
            foreach (var batches in DataLoader.TrainingSteps(task.Train, arguments, new StepPlan(arguments, task.Train.Count), 0))
            {
                using var scope = NewDisposeScope();
                step.Run(batches, 1e-3);
                foreach (var batch in batches)
                    batch.Dispose();
            }
        }

        static long Live()
        {
            // What tests before this one have left behind goes in more than one round: a finalizer lets go of what has another.
            for (var before = -1L; before != Tensor.TotalCount;)
            {
                before = Tensor.TotalCount;
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            return Tensor.TotalCount;
        }
    }

    private static TokenSequence Text(int seed, int length) => TokenSequence.Whole([.. Enumerable.Range(0, length).Select(at => 3 + (seed * 7919 + at * 104_729) % 500)]);

    private (double Loss, Dictionary<string, Tensor> Gradients) Accumulate(TrainingTask task, params Batch[] batches)
    {
        _model.zero_grad();
        using var optimizer = new AdamW(_model, 0, 0.9, 0.999, 1e-8);
        var loss = new TrainingStep(_model, task.Loss, optimizer, 0).Accumulate(batches)[TrainingStep.Loss].ToDouble();
        return (loss, _model.named_parameters().ToDictionary(entry => entry.name, entry => entry.parameter.grad!.clone()));
    }

    private TrainingTask Load(string task, params string[] lines) => Load($"\"{task}\"", 64, lines);

    private TrainingTask Load(string task, int maxLength, params string[] lines)
    {
        var config = (TrainingTaskConfig)JobSpecReader.Read(System.Text.Encoding.UTF8.GetBytes($$"""{"base_model": "m", "task": {{task}}, "dataset": {"train": "t"} }""")).Task;
        return config.Load(new DatasetSpec { Train = _files.Write("train.jsonl", lines), TextColumn = "text", ValidationSplit = 0 }, new TrainingArguments { MaxLength = maxLength }, LanguageFixtures.Tokenizer);
    }
}
