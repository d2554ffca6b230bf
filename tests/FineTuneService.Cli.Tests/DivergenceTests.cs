using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>A regression with one label whose square is larger than any fp32 number.</summary>
public sealed class DivergenceTests
{
    /// <summary>Of train.tsv; the header is the first. Its row is the 182nd, so it comes in step 23 of 8 rows, as the second of the second micro-batch.</summary>
    private const int PoisonedLine = 183;

    private static readonly TrainingArguments Sequential = new()
    {
        PerDeviceTrainBatchSize = 4,
        GradientAccumulationSteps = 2,
        TrainSamplingStrategy = TrainSamplingStrategy.Sequential,
        MaxSteps = 25,
        MaxLength = 32,
        LearningRate = 1e-3,
        LrSchedulerType = LearningRateSchedule.Constant,
        LoggingSteps = 1,
        EvalStrategy = IntervalStrategy.No,
        SaveStrategy = IntervalStrategy.Steps,
        SaveSteps = 10,
        LoadBestModelAtEnd = false,
    };

    [Fact]
    public async Task A_loss_that_is_no_number_ends_the_run_before_it_spoils_anything_and_names_the_rows()
    {
        using var run = Poisoned(Sequential with { LoggingSteps = 7 });

        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path);

        Assert.Equal(TrainerExit.Faulted, exitCode);
        var fault = Assert.Single(Assert.IsType<RunFailed>(run.Events[^1]).Faults);
        Assert.Equal("/training/learning_rate", fault.Pointer);
        Assert.Equal("Training diverged at step 23: the loss of micro-batch 2 of 2 is no number (training file, lines 182, 183, 184, 185).", fault.Message);
        Assert.Contains(fault.Message, error, StringComparison.Ordinal);
        Assert.Equal(21, run.Events.OfType<StepLogged>().Last().Step);
    }

    [Fact]
    public async Task A_run_that_may_goes_back_with_half_the_learning_rate_and_keeps_it()
    {
        using var run = Poisoned(Sequential with { OnDivergence = DivergencePolicy.Rollback, MaxRollbacks = 2 });

        Assert.Equal(TrainerExit.Faulted, (await Finetune.Run("train", run.Folder.Path)).ExitCode);

        Assert.Equal(2, run.Events.OfType<Noted>().Count(note => note is { Level: "warning", Code: "diverged", Step: 23 } && note.Message.Contains("goes back to checkpoint-20", StringComparison.Ordinal)));
        Assert.Equal([0, 20, 20], run.Events.OfType<RunStarted>().Select(started => started.Step));
        Assert.Equal([1e-3, 5e-4, 2.5e-4], RatesAt(run, 21));
        Assert.Contains("2 times already", Assert.IsType<RunFailed>(run.Events[^1]).Faults[0].Message, StringComparison.Ordinal);

        // The row is mended: the run goes on from its last good checkpoint, with the rate that it has come to.
        Label(run, "1");
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", run.Folder.Path)).ExitCode);
        Assert.Equal(2.5e-4, RatesAt(run, 25).Single());
        Assert.All(run.Events.OfType<StepLogged>(), logged => Assert.True(double.IsFinite(logged.Metrics["loss"])));
    }

    private static IEnumerable<double> RatesAt(SampleRun run, int step) => run.Events.OfType<StepLogged>().Where(logged => logged.Step == step).Select(logged => logged.Metrics["learning_rate"]);

    private static SampleRun Poisoned(TrainingArguments training)
    {
        var run = new SampleRun(training);
        run.WriteSpec(training, task: new { Type = "text-classification", ProblemType = "regression" });
        Label(run, "3e38");
        return run;
    }

    private static void Label(SampleRun run, string label)
    {
        var path = Path.Combine(run.Folder.Path, "train.tsv");
        var lines = File.ReadAllLines(path);
        lines[PoisonedLine - 1] = $"{lines[PoisonedLine - 1].Split('\t')[0]}\t{label}";
        File.WriteAllLines(path, lines);
    }
}
