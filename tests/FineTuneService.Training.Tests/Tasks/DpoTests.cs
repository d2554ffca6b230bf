using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using FineTuneService.Training.Tokenization;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Tasks;

/// <summary>Numbers of Fixtures/language/dpo were made by its golden.py: the formulas in plain PyTorch, on a Llama of transformers 5.12.1.</summary>
public sealed class DpoTests : IDisposable
{
    private static readonly string Model = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", "llama-clm");
    private static readonly Golden Reference = JsonSerializer.Deserialize<Golden>(
        File.ReadAllText(Path.Combine(LanguageFixtures.Folder, "dpo", "golden.json")), SnakeCaseJson.Options)!;

    private readonly LanguageFixtures _files = new();
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly PretrainedModel _model = PretrainedConfig.Read(Model).Create(ModelHead.CausalLm);

    public DpoTests() => PretrainedFolder.LoadWeights(Model, _model, seed: 0);

    public void Dispose()
    {
        _model.Dispose();
        _scope.Dispose();
        _files.Dispose();
    }

    public static TheoryData<int> Runs => [.. Enumerable.Range(0, Reference.Runs.Count)];

    [Theory]
    [MemberData(nameof(Runs))]
    public void Six_steps_are_those_of_the_reference(int run)
    {
        var golden = Reference.Runs[run];
        var task = Load(new() { LossType = golden.LossType, Beta = golden.Beta, LabelSmoothing = golden.LabelSmoothing });
        task.Prepare(_model, Folder, 3, CPU);
        using var optimizer = new AdamW(_model, 0, 0.9, 0.999, 1e-8);
        var step = new TrainingStep(_model, task.Loss, optimizer, 1);
        foreach (var expected in golden.Steps)
        {
            using var batch = task.Train.Collate([0, 1, 2, 3]);
            var actual = step.Run([batch], Reference.LearningRate);

            Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
            Assert.All(expected, metric => Assert.Equal(metric.Value, actual[metric.Key].ToDouble(), 2e-5 * Math.Max(1, Math.Abs(metric.Value))));
        }
    }

    [Fact]
    public void Two_micro_batches_make_the_step_of_one()
    {
        var task = Load(new());
        task.Prepare(_model, Folder, 4, CPU);
        using var optimizer = new AdamW(_model, 0, 0.9, 0.999, 1e-8);
        var step = new TrainingStep(_model, task.Loss, optimizer, 0);
        step.Run([task.Train.Collate([0, 1, 2, 3])], 1e-3);
        _model.zero_grad();
        var whole = step.Accumulate([task.Train.Collate([0, 1, 2, 3])]);
        var gradient = _model.parameters().First().grad!.clone();
        _model.zero_grad();
        var parts = step.Accumulate([task.Train.Collate([0]), task.Train.Collate([1, 2, 3])]);

        Assert.All(whole, metric => Assert.Equal(metric.Value.ToDouble(), parts[metric.Key].ToDouble(), 1e-5));
        Assert.True(gradient.allclose(_model.parameters().First().grad!, atol: 1e-6));
    }

    [Fact]
    public void The_base_model_is_asked_once()
    {
        var file = Path.Combine(Folder.Path, "reference_logps.safetensors");
        var (first, again, other) = (Load(new()), Load(new()), Load(new()));
        first.Prepare(_model, Folder, 4, CPU);
        File.SetLastWriteTimeUtc(file, DateTime.UnixEpoch);

        again.Prepare(_model, Folder, 1, CPU);
        Assert.Equal(DateTime.UnixEpoch, File.GetLastWriteTimeUtc(file));
        Assert.Equal(References(first), References(again));

        using (no_grad())
            _model.parameters().First().mul_(2);
        other.Prepare(_model, Folder, 4, CPU);
        Assert.NotEqual(References(first), References(other));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_fresh_adapter_is_compared_with_its_base_and_a_continued_one_with_itself(bool useDora)
    {
        var lora = new LoraConfig { R = 4, TargetModules = new("all-linear"), UseDora = useDora };
        using var model = PretrainedConfig.Read(Model).Create(ModelHead.CausalLm);
        var adapter = lora.Prepare(model, ModelHead.CausalLm, Model, seed: 1);
        var (fresh, continued, plain) = (Load(new()), Load(new()), Load(new()));
        plain.Prepare(_model, Folder, 4, CPU);
        fresh.Prepare(model, Folder, 4, CPU);
        Assert.All(References(plain).Zip(References(fresh)), pair => Assert.Equal(pair.First, pair.Second, 1e-4));

        using (no_grad())
            foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
                parameter.add_(0.05);
        continued.Prepare(model, Folder, 4, CPU);
        Assert.Contains(References(plain).Zip(References(continued)), pair => Math.Abs(pair.First - pair.Second) > 1e-2);
        Assert.Equal(Math.Log(2), Evaluation.Run(model, continued, continued.Train, 4, CPU, "", TimeProvider.System).Metrics["loss"], 1e-6);
        if (useDora)
            return;
        using var off = new AdapterSwitch(model);
        File.Delete(Path.Combine(Folder.Path, "reference_logps.safetensors")); // It goes by the weights, which a switch does not change.
        var disabled = Load(new());
        disabled.Prepare(model, Folder, 4, CPU);
        Assert.All(References(plain).Zip(References(disabled)), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
    }

    [Fact]
    public void Evaluation_tells_the_same_metrics()
    {
        var task = Load(new());
        task.Prepare(_model, Folder, 4, CPU);

        var scores = Evaluation.Run(_model, task, task.Train, 3, CPU, "eval_", TimeProvider.System);

        Assert.Equal(Math.Log(2), scores.Metrics["eval_loss"], 1e-6); // The model is still its own reference.
        Assert.Equal(Reference.Runs[0].Steps[0]["logps/chosen"], scores.Metrics["eval_logps/chosen"], 1e-4);
        Assert.Equal(Reference.Runs[0].Steps[0]["logps/rejected"], scores.Metrics["eval_logps/rejected"], 1e-4);
        Assert.Equal(0, scores.Metrics["eval_rewards/margins"], 1e-6);
    }

    [Fact]
    public void Answers_that_begin_beyond_the_length_are_dropped_and_longer_ones_cut()
    {
        var task = Load(new(), maxLength: 7);

        Assert.Equal(3, task.Train.Count); // A prompt of seven tokens leaves no room for an answer.
        Assert.Equal(3, task.Truncated.Rows);
        Assert.Contains("an answer begins after 7 tokens", string.Join('\n', task.Notes), StringComparison.Ordinal);
    }

    private RunFolder Folder => new(Path.GetDirectoryName(_files.Write("none"))!);

    private static float[] References(TrainingTask task) => task.Train.Collate([0, 1, 2, 3]).ReferenceLogProbabilities!.data<float>().ToArray();

    /// <summary>A vocabulary of words w3, w4, … whose ids are their numbers, so that the golden ids can be written as texts.</summary>
    private TrainingTask Load(DpoConfig config, int maxLength = 64)
    {
        static string Words(IEnumerable<int> ids) => string.Concat(ids.Select(id => $" w{id}"));
        var path = _files.Write("train.jsonl", [.. Reference.Pairs.Select(pair => JsonSerializer.Serialize(new { prompt = Words(pair.Prompt), chosen = Words(pair.Chosen), rejected = Words(pair.Rejected) }))]);
        var vocabulary = Enumerable.Range(0, 160).ToDictionary(id => id switch { 0 => "<pad>", 1 => "<unk>", 2 => "</s>", _ => $"w{id}" });
        object Special(int id, string content) => new { id, content, single_word = false, lstrip = false, rstrip = false, normalized = false, special = true };
        _files.Write("tokenizer.json", JsonSerializer.Serialize(new
        {
            version = "1.0",
            added_tokens = new[] { Special(0, "<pad>"), Special(1, "<unk>"), Special(2, "</s>") },
            pre_tokenizer = new { type = "WhitespaceSplit" },
            model = new { type = "WordLevel", vocab = vocabulary, unk_token = "<unk>" },
        }));
        return config.Load(
            new DatasetSpec { Train = path, PromptColumn = "prompt", ChosenColumn = "chosen", RejectedColumn = "rejected", ValidationSplit = 0 },
            new TrainingArguments { MaxLength = maxLength }, Tokenizer.Load(Folder.Path));
    }

    private sealed record Golden(string Maker, double LearningRate, IReadOnlyList<GoldenPair> Pairs, IReadOnlyList<GoldenRun> Runs);

    private sealed record GoldenPair(int[] Prompt, int[] Chosen, int[] Rejected);

    private sealed record GoldenRun(DpoLossType LossType, double LabelSmoothing, double Beta, IReadOnlyList<Dictionary<string, double>> Steps);
}
