using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>What a model knows of general text, before its first step and after.</summary>
public sealed class ForgettingTests
{
    private static readonly TrainingArguments Short = new()
    {
        PerDeviceTrainBatchSize = 4,
        MaxSteps = 6,
        MaxLength = 64,
        EvalStrategy = IntervalStrategy.Steps,
        EvalSteps = 4,
        SaveStrategy = IntervalStrategy.Steps,
        SaveSteps = 4,
        LoadBestModelAtEnd = false,
        ForgettingCheck = true,
        ForgettingWeight = 0.5,
    };

    /// <summary>The same text and the same hidden tokens, whatever the seed and the method; and a rate that wrecks the model is told.</summary>
    [Theory]
    [InlineData("tiny-bert-en", "masked-lm")]
    [InlineData("tiny-llama-en", "causal-lm")]
    public async Task Every_run_is_asked_the_same_and_what_it_forgets_is_told(string baseModel, string task)
    {
        using var gentle = await Train(baseModel, task, "lora", Short with { Seed = 1, LearningRate = 1e-5 });
        using var rough = await Train(baseModel, task, "full", Short with { Seed = 2, LearningRate = 3e-2 });

        var (known, kept, lost) = (Probes(gentle)[0], Probes(gentle)[^1], Probes(rough)[^1]);
        Assert.Equal([0, 4, 6], Probes(gentle).Select(probe => probe.Step));
        Assert.Equal(known.Loss, Probes(rough)[0].Loss, 1e-4);
        Assert.Equal(known.Loss, kept.Loss, 0.01);
        Assert.True(lost.Loss > known.Loss + Math.Log(2), $"{known} {lost}");
        Assert.DoesNotContain(Found(gentle), finding => finding.Code == "forgetting");
        Assert.Contains(Found(rough), finding => finding is { Code: "forgetting", Severity: FindingSeverity.High } && finding.Patch!.ToJsonString() == """{"method":{"type":"lora"},"training":{"learning_rate":0.0002}}""");

        // Where checkpoints are compared it counts.
        var evaluated = rough.Events.OfType<Evaluated>().First(evaluated => evaluated.Split == "validation");
        var forgotten = Probes(rough).Single(probe => probe.Step == evaluated.Step).Loss - Probes(rough)[0].Loss;
        Assert.Equal(evaluated.Metrics["eval_loss"] + 0.5 * forgotten, evaluated.Metrics["eval_forgetting_aware_loss"], 1e-9);
        Assert.Equal("eval_forgetting_aware_loss", rough.Events.OfType<RunSucceeded>().Single().BestMetricName);

        // A run that goes on from its checkpoint still knows what the model knew.
        var log = File.ReadAllLines(gentle.Folder.Events);
        File.WriteAllLines(gentle.Folder.Events, log.TakeWhile(line => !line.Contains("\"path\":\"checkpoints/checkpoint-6\"", StringComparison.Ordinal)));
        Directory.Delete(gentle.Folder.Checkpoint(6), recursive: true);
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", gentle.Folder.Path)).ExitCode);
        using var state = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(gentle.Folder.Checkpoint(6), "trainer_state.json")));
        Assert.Equal([0, 4, 6], state.RootElement.GetProperty("log_history").EnumerateArray().Where(line => line.TryGetProperty("probe_loss", out _)).Select(line => line.GetProperty("step").GetInt32()));
    }

    /// <summary>The same rough rate, with the base's word counting beside the data's: the model forgets less, and goes on after a stop as if there had been none.</summary>
    [Theory]
    [InlineData("tiny-bert-en", "masked-lm", "full", 1e-3)]
    [InlineData("tiny-llama-en", "causal-lm", "lora", 3e-2)]
    public async Task Near_its_base_a_model_forgets_less(string baseModel, string task, string method, double rate)
    {
        var training = Short with { MaxSteps = 12, SaveSteps = 8, SaveTotalLimit = 10, EvalStrategy = IntervalStrategy.No, LearningRate = rate };
        using var free = await Train(baseModel, task, method, training);
        using var held = await Train(baseModel, task, method, training with { KlToBaseWeight = 5 });

        var (lost, kept) = (Rise(free), Rise(held));
        Assert.True(lost > 0.05 && kept < 0.75 * lost, $"{lost} {kept}");
        Assert.All(held.Events.OfType<StepLogged>(), logged => Assert.InRange(logged.Metrics["kl_to_base"], 0, logged.Metrics["loss"]));
        Assert.DoesNotContain(free.Events.OfType<StepLogged>(), logged => logged.Metrics.ContainsKey("kl_to_base"));

        var weights = method == "full" ? "model.safetensors" : "adapter_model.safetensors";
        var result = held.Hash(12, weights);
        Directory.Delete(held.Folder.Checkpoint(12), recursive: true);
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", held.Folder.Path)).ExitCode);
        Assert.Equal(8, held.Events.OfType<RunStarted>().Last().Step);
        Assert.Equal(result, held.Hash(12, weights));

        static double Rise(SampleRun run) => Probes(run)[^1].Loss - Probes(run)[0].Loss;
    }

    /// <summary>What an earlier dataset taught is forgotten over a new one, which is told; not so much where it is replayed.</summary>
    [Fact]
    public async Task What_is_replayed_is_forgotten_less()
    {
        var training = Short with { MaxSteps = 30, PerDeviceTrainBatchSize = 8, SaveStrategy = IntervalStrategy.No, EvalStrategy = IntervalStrategy.No, ForgettingCheck = false, ForgettingWeight = 0, LearningRate = 3e-3 };
        using var alone = await Train("tiny-llama-en", "causal-lm", "full", training, NameEarlier);
        using var mixed = await Train("tiny-llama-en", "causal-lm", "full", training, folder =>
        {
            var dataset = NameEarlier(folder);
            dataset["replay"] = new JsonObject { ["dataset"] = "plays.jsonl", ["fraction"] = 0.5 };
            return dataset;
        });

        var (lost, kept) = (Rise(alone), Rise(mixed));
        Assert.True(kept < lost - 0.3, $"{lost} {kept}");
        Assert.Contains(Found(alone), finding => finding.Code == "forgetting" && finding.Explanation.Contains("plays.jsonl", StringComparison.Ordinal));
        var started = Assert.Single(mixed.Events.OfType<RunStarted>());
        Assert.Equal(started.TrainRows, 2 * started.ReplayedRows);
        Assert.Contains(mixed.Events.OfType<Noted>(), note => note.Message.Contains("that are replayed", StringComparison.Ordinal));

        static double Rise(SampleRun run) => run.Events.OfType<Evaluated>().Where(evaluated => evaluated.Split == "earlier_0").Select(evaluated => evaluated.Metrics["earlier_0_loss"]).ToArray() is [var before, var after] ? after - before : double.NaN;

        static JsonObject NameEarlier(string folder)
        {
            File.WriteAllLines(Path.Combine(folder, "plays.jsonl"), File.ReadLines(Path.Combine(Finetune.Samples, "shakespeare", "train.jsonl")).Take(20));
            return new() { ["train"] = "train.tsv", ["validation_split"] = 0, ["earlier"] = new JsonArray("plays.jsonl") };
        }
    }

    /// <param name="dataset">What is learnt, if not the sample, from the run's folder.</param>
    private static async Task<SampleRun> Train(string baseModel, string task, string method, TrainingArguments training, Func<string, JsonObject>? dataset = null)
    {
        var run = new SampleRun(training);
        run.WriteSpec(training, baseModel, method, task);
        if (dataset is not null)
        {
            var spec = JsonNode.Parse(File.ReadAllText(run.Folder.Job))!;
            spec["dataset"] = dataset(run.Folder.Path);
            File.WriteAllText(run.Folder.Job, spec.ToJsonString());
        }
        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);
        return run;
    }

    private static List<(int Step, double Loss)> Probes(SampleRun run) => [.. run.Events.OfType<Evaluated>().Where(evaluated => evaluated.Split == "probe").Select(evaluated => (evaluated.Step, evaluated.Metrics["probe_loss"]))];

    private static IEnumerable<Finding> Found(SampleRun run) => run.Events.OfType<Diagnosed>().Select(told => told.Finding);
}
