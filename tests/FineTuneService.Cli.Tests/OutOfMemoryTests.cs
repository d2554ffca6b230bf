using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>Runs in a process that may take little memory. The model knows no dropout: what it learns must not depend on how many rows it sees at once.</summary>
public sealed class OutOfMemoryTests(OutOfMemoryTests.FreeRun free) : IClassFixture<OutOfMemoryTests.FreeRun>
{
    private const int Steps = 4, Rows = 256;

    private static readonly TrainingArguments Large = new()
    {
        PerDeviceTrainBatchSize = Rows,
        PerDeviceEvalBatchSize = 16,
        MaxSteps = Steps,
        MaxLength = 64,
        LearningRate = 1e-3,
        LoggingSteps = 1,
        EvalStrategy = IntervalStrategy.Steps,
        EvalSteps = 2,
        SaveStrategy = IntervalStrategy.Steps,
        SaveSteps = 2,
    };

    /// <summary>The process has some 350 MB of it before its first step; one of all rows takes 300 more.</summary>
    private const string Limit = "620MiB";

    [Fact]
    public async Task A_run_without_memory_goes_on_with_smaller_micro_batches_and_the_same_curve()
    {
        using var run = Run(Large);

        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path, "--memory-limit", Limit);

        Assert.True(exitCode == TrainerExit.Succeeded, error);
        var warnings = Warnings(run);
        Assert.NotEmpty(warnings);
        Assert.Contains("a micro-batch has 128 rows instead of 256, and a step 2 micro-batches instead of 1: the same 256 rows", warnings[0], StringComparison.Ordinal);
        Assert.Equal(Rows >> warnings.Count, (int)Adaptation(run)["micro_batch_size"]!);
        Assert.Equal(Losses(free.Run), Losses(run), (expected, actual) => Math.Abs(expected - actual) < 1e-4);
        Assert.Equal(Metric(free.Run, "num_input_tokens_seen"), Metric(run, "num_input_tokens_seen"));
        Assert.Equal(Metric(free.Run, "learning_rate"), Metric(run, "learning_rate"));

        // Resumed, it begins with what it has learnt about itself.
        Directory.Delete(run.Folder.Checkpoint(Steps), recursive: true);
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", run.Folder.Path, "--memory-limit", Limit)).ExitCode);
        Assert.Equal(warnings, Warnings(run));
        Assert.Equal(Losses(free.Run), Losses(run), (expected, actual) => Math.Abs(expected - actual) < 1e-4);
    }

    [Fact]
    public async Task An_evaluation_without_memory_is_repeated_with_fewer_rows_and_training_is_left_alone()
    {
        var training = Large with { PerDeviceTrainBatchSize = 16, PerDeviceEvalBatchSize = 4096, MaxSteps = 2 };
        using var whole = Run(training, validationRows: 3000);
        using var run = Run(training, validationRows: 3000);
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", whole.Folder.Path)).ExitCode);

        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path, "--memory-limit", Limit);

        Assert.True(exitCode == TrainerExit.Succeeded, error);
        Assert.NotEmpty(Warnings(run));
        Assert.All(Warnings(run), warning => Assert.Contains("in an evaluation", warning, StringComparison.Ordinal));
        Assert.Single(run.Events.OfType<RunStarted>());
        Assert.Null(Adaptation(run)["micro_batch_size"]);
        Assert.Equal(4096 >> Warnings(run).Count, (int)Adaptation(run)["eval_batch_size"]!);
        Assert.Equal(Losses(whole), Losses(run));
        Assert.Equal(EvalLosses(whole), EvalLosses(run), (expected, actual) => Math.Abs(expected - actual) < 1e-5);
    }

    [Fact]
    public async Task A_run_whose_process_was_killed_for_memory_begins_with_less()
    {
        using var run = Run(Large with { PerDeviceTrainBatchSize = 5, MaxSteps = 2 });
        foreach (var expected in new[] { "3 rows instead of 5", "2 rows instead of 3", "1 rows instead of 2", "gradient checkpointing" })
        {
            File.WriteAllText(run.Folder.OutOfMemory, "The system killed the trainer because memory ran out");
            Directory.Delete(Directory.CreateDirectory(run.Folder.Checkpoints).FullName, recursive: true);
            Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", run.Folder.Path)).ExitCode);
            Assert.Contains(expected, Warnings(run)[^1], StringComparison.Ordinal);
            Assert.False(File.Exists(run.Folder.OutOfMemory));
        }
        Assert.Equal(1, (int)Adaptation(run)["eval_batch_size"]!); // of 16: nobody knows where it died

        File.WriteAllText(run.Folder.OutOfMemory, "The system killed the trainer because memory ran out");
        Assert.Equal(TrainerExit.Faulted, (await Finetune.Run("train", run.Folder.Path)).ExitCode);
        var fault = Assert.Single(Assert.IsType<RunFailed>(run.Events[^1]).Faults);
        Assert.Equal(("/training/max_length", "64"), (fault.Pointer, fault.Value));
    }

    [Fact]
    public async Task A_limit_that_is_no_amount_of_memory_is_a_fault()
    {
        using var run = Run(Large);
        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path, "--memory-limit", "plenty");
        Assert.Equal(TrainerExit.Faulted, exitCode);
        Assert.Contains("--memory-limit = plenty", error, StringComparison.Ordinal);
    }

    private static SampleRun Run(TrainingArguments training, int validationRows = 64)
    {
        var run = new SampleRun(training, rows: 1000);
        if (validationRows > 64)
            File.WriteAllLines(Path.Combine(run.Folder.Path, "dev.tsv"), File.ReadLines(Path.Combine(Finetune.Samples, "sst2", "train.tsv")).Take(validationRows + 1));
        run.WriteSpec(training, "tiny-modernbert-en", init: "config");
        return run;
    }

    private static List<string> Warnings(SampleRun run) => [.. run.Events.OfType<Noted>().Where(note => note is { Level: "warning", Code: "out_of_memory" }).Select(note => note.Message)];

    private static JsonNode Adaptation(SampleRun run) => JsonNode.Parse(File.ReadAllText(run.Folder.Adaptation))!;

    private static List<double> Losses(SampleRun run) => Metric(run, "loss");

    private static List<double> EvalLosses(SampleRun run) => [.. run.Events.OfType<Evaluated>().Select(evaluated => evaluated.Metrics["eval_loss"])];

    /// <summary>At each step, of the last attempt that took it.</summary>
    private static List<double> Metric(SampleRun run, string name) =>
        [.. run.Events.OfType<StepLogged>().GroupBy(logged => logged.Step).OrderBy(step => step.Key).Select(step => step.Last().Metrics[name])];

    /// <summary>Without a limit; the tests only read it.</summary>
    public sealed class FreeRun : IAsyncLifetime
    {
        internal SampleRun Run { get; } = OutOfMemoryTests.Run(Large);

        public async ValueTask InitializeAsync() => Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", Run.Folder.Path)).ExitCode);

        public ValueTask DisposeAsync()
        {
            Run.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
