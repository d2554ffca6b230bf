using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>A LoRA run from its first step to predictions, as users and workers run it.</summary>
public sealed class AdapterTests(AdapterTests.WholeRun shared) : IClassFixture<AdapterTests.WholeRun>
{
    private const int Steps = 20;

    private static readonly TrainingArguments Short = new()
    {
        PerDeviceTrainBatchSize = 8,
        MaxSteps = Steps,
        MaxLength = 32,
        LearningRate = 1e-3,
        LoggingSteps = 1,
        EvalStrategy = IntervalStrategy.Steps,
        EvalSteps = 10,
        SaveStrategy = IntervalStrategy.Steps,
        SaveSteps = 10,
        SaveTotalLimit = 9,
    };

    private static readonly object Lora = new { Type = "lora", R = 4, LoraDropout = 0.1, UseDora = true };

    [Theory]
    [InlineData("lora")]
    [InlineData("qlora")]
    public async Task Killed_at_any_step_a_run_ends_with_the_same_adapter(string type)
    {
        var method = new { Type = type, R = 4, LoraDropout = 0.1 };
        using var whole = new SampleRun(Short);
        whole.WriteSpec(Short, method: method);
        var (exitCode, _, error) = await Finetune.Run("train", whole.Folder.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);

        using var broken = new SampleRun(Short);
        broken.WriteSpec(Short, method: method);
        foreach (var step in new[] { 3, 17 }) // before the first checkpoint, and between two
        {
            using var process = Finetune.Start("train", broken.Folder.Path);
            await broken.WaitFor(process, happened => happened is StepLogged && happened.Step >= step);
            process.Kill();
            await Finetune.Finish(process);
        }
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", broken.Folder.Path)).ExitCode);

        Assert.Equal(Hash(whole, "adapter_model.safetensors"), Hash(broken, "adapter_model.safetensors"));
        Assert.Equal(Hash(whole, "optimizer.safetensors"), Hash(broken, "optimizer.safetensors"));
        Assert.False(File.Exists(Path.Combine(whole.Folder.Checkpoint(Steps), "model.safetensors")));
        var started = whole.Events.OfType<RunStarted>().Single();
        Assert.True(started.TrainableParameters < started.TotalParameters / 10, $"{started.TrainableParameters} of {started.TotalParameters}");
        Assert.Equal(TotalOfBase() + Added(whole), started.TotalParameters);
    }

    [Fact]
    public async Task A_checkpoint_finds_its_base_and_answers_as_the_merged_model()
    {
        var run = shared.Run;
        var checkpoint = run.Folder.Checkpoint(Steps);
        var data = Path.Combine(run.Folder.Path, "dev.tsv");

        var (_, scores, error) = await Finetune.Run("evaluate", checkpoint, data);
        Assert.Empty(error);
        var logged = run.Events.OfType<Evaluated>().Single(evaluated => evaluated.Step == Steps).Metrics["eval_loss"];
        Assert.Equal(logged, Metric(scores, "loss"), 1e-5);

        var merged = Path.Combine(run.Folder.Path, "merged");
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("merge", checkpoint, merged)).ExitCode);
        Assert.Equal(["config.json", "model.safetensors"], Names(merged).Intersect(["config.json", "model.safetensors", "adapter_config.json"]));
        Assert.Equal(logged, Metric((await Finetune.Run("evaluate", merged, data)).Output, "loss"), 1e-5);
        Assert.Equal(
            (await Finetune.Run("predict", checkpoint, "a warm and funny film")).Output,
            (await Finetune.Run("predict", merged, "a warm and funny film")).Output);
        Assert.Equal(TrainerExit.Faulted, (await Finetune.Run("merge", checkpoint, merged)).ExitCode);
    }

    [Fact]
    public async Task Away_from_its_run_an_adapter_asks_for_its_base()
    {
        var moved = Directory.CreateTempSubdirectory("finetune-adapter-").FullName;
        try
        {
            foreach (var file in Directory.GetFiles(shared.Run.Folder.Checkpoint(Steps)))
                File.Copy(file, Path.Combine(moved, Path.GetFileName(file)));
            Assert.Equal("tiny-bert-en", (string?)JsonNode.Parse(File.ReadAllText(Path.Combine(moved, "adapter_config.json")))!["base_model_name_or_path"]);

            var (exitCode, _, error) = await Finetune.Run("predict", moved, "a film");
            Assert.Equal(TrainerExit.Faulted, exitCode);
            Assert.Contains("--base", error, StringComparison.Ordinal);
            Assert.Equal(0, (await Finetune.Run("predict", moved, "a film", "--base", Path.Combine(Finetune.Samples, "models", "tiny-bert-en"))).ExitCode);
        }
        finally
        {
            Directory.Delete(moved, recursive: true);
        }
    }

    [Fact]
    public async Task An_adapter_is_continued()
    {
        var first = shared.Run;
        using var second = new SampleRun(Short);
        var evaluated = Short with { MaxLength = default, EvalOnStart = true, MaxSteps = 2 };
        second.WriteSpec(evaluated, method: new { Type = "lora", Adapter = first.Folder.Checkpoint(Steps) });
        var (exitCode, _, error) = await Finetune.Run("train", second.Folder.Path);

        Assert.True(exitCode == TrainerExit.Succeeded, error);
        Assert.Equal(
            first.Events.OfType<Evaluated>().Single(scores => scores.Step == Steps).Metrics["eval_loss"],
            second.Events.OfType<Evaluated>().Single(scores => scores.Step == 0).Metrics["eval_loss"]);
        Assert.True(JsonNode.Parse(File.ReadAllText(Path.Combine(second.Folder.Checkpoint(2), "adapter_config.json")))!["use_dora"]!.GetValue<bool>());

        second.WriteSpec(evaluated, method: new { Type = "lora", R = 16, Adapter = first.Folder.Checkpoint(Steps) });
        Assert.Contains("/method/r = 16", (await Finetune.Run("train", second.Folder.Path)).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Faults_of_a_method_are_told_all_at_once()
    {
        using var run = new SampleRun(Short);
        run.WriteSpec(Short, method: new { Type = "lora", R = 1000, TargetModules = new[] { "query", "bert.pooler.dense" }, ModulesToSave = new[] { "nothing" }, ExcludeModules = "(" });
        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path);
        Assert.Equal(TrainerExit.Faulted, exitCode);
        Assert.Contains("/method/exclude_modules = (", error, StringComparison.Ordinal);

        run.WriteSpec(Short, method: new { Type = "lora", R = 1000, TargetModules = new[] { "query" }, ModulesToSave = new[] { "nothing" } });
        error = (await Finetune.Run("train", run.Folder.Path)).Error;
        Assert.Contains("/method/r = 1000", error, StringComparison.Ordinal);
        Assert.Contains("/method/modules_to_save = nothing", error, StringComparison.Ordinal);

        run.WriteSpec(Short, method: new { Type = "lora", TargetModules = "q_proj" });
        error = (await Finetune.Run("train", run.Folder.Path)).Error;
        Assert.Contains("/method/target_modules = q_proj", error, StringComparison.Ordinal);
        Assert.Contains("attention.self.query", error, StringComparison.Ordinal);
    }

    private static string Hash(SampleRun run, string file) => run.Hash(Steps, file);

    private static IEnumerable<string?> Names(string folder) => Directory.GetFiles(folder).Select(Path.GetFileName).Order();

    private static double Metric(string output, string name) =>
        double.Parse(output.Split('\n').Single(line => line.StartsWith(name + " ", StringComparison.Ordinal))[name.Length..], System.Globalization.CultureInfo.InvariantCulture);

    private static long TotalOfBase() => Elements(Path.Combine(Finetune.Samples, "models", "tiny-bert-en", "model.safetensors"), key => key.StartsWith("bert.", StringComparison.Ordinal));

    private static long Added(SampleRun run) => Elements(Path.Combine(run.Folder.Checkpoint(Steps), "adapter_model.safetensors"), _ => true);

    private static long Elements(string file, Func<string, bool> counts)
    {
        using var stream = File.OpenRead(file);
        var length = new byte[8];
        stream.ReadExactly(length);
        var header = new byte[BitConverter.ToInt64(length)];
        stream.ReadExactly(header);
        return JsonSerializer.Deserialize<JsonObject>(header)!.Where(entry => entry.Key != "__metadata__" && counts(entry.Key))
            .Sum(entry => entry.Value!["shape"]!.AsArray().Aggregate(1L, (product, size) => product * size!.GetValue<long>()));
    }

    /// <summary>Trained once for all tests; they leave its checkpoints as they are.</summary>
    public sealed class WholeRun : IAsyncLifetime
    {
        internal SampleRun Run { get; } = new(Short);

        public async ValueTask InitializeAsync()
        {
            Run.WriteSpec(Short with { MaxLength = default }, method: Lora); // as long as the command evaluates
            var (exitCode, _, error) = await Finetune.Run("train", Run.Folder.Path);
            Assert.True(exitCode == TrainerExit.Succeeded, error);
        }

        public ValueTask DisposeAsync()
        {
            Run.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
