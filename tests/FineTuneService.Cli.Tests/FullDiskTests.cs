using System.Diagnostics;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>A trainer that may not write: its limit for the size of a file, which the kernel enforces like the end of a disk, is lowered and lifted while it runs.</summary>
[Trait("Suite", "faults")]
public sealed class FullDiskTests
{
    private const int SaveSteps = 10;

    private static readonly TrainingArguments Endless = new()
    {
        PerDeviceTrainBatchSize = 8,
        MaxSteps = 100_000,
        MaxLength = 32,
        LoggingSteps = 1,
        EvalStrategy = IntervalStrategy.No,
        SaveStrategy = IntervalStrategy.Steps,
        SaveSteps = SaveSteps,
        LoadBestModelAtEnd = false,
    };

    [Theory]
    [InlineData("1000000")] // A checkpoint has no room.
    [InlineData("1")] // Nothing has, not even an event.
    public async Task A_full_disk_costs_a_checkpoint_and_not_the_run(string bytes)
    {
        using var run = new SampleRun(Endless);
        using var process = Finetune.Start("train", run.Folder.Path, "--supervised");
        await run.WaitFor(process, happened => happened is CheckpointSaved);

        Limit(process, bytes);
        await Task.Delay(TimeSpan.FromSeconds(2), TestContext.Current.CancellationToken);
        if (bytes != "1")
            await run.WaitFor(process, happened => happened is Noted { Code: "checkpoint_not_saved" });
        var good = Directory.GetDirectories(run.Folder.Checkpoints, "checkpoint-*").Single();
        Limit(process, "unlimited");

        var warning = await run.WaitFor(process, happened => happened is Noted { Code: "checkpoint_not_saved" });
        Assert.Equal(0, warning.Step % SaveSteps);
        Assert.Contains($"resumed from {Path.GetFileName(good)}", Assert.IsType<Noted>(warning).Message, StringComparison.Ordinal);
        var saved = await run.WaitFor(process, happened => happened is CheckpointSaved && happened.Step > warning.Step);
        await process.StandardInput.WriteLineAsync("stop");
        await process.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal(TrainerExit.Stopped, (await Finetune.Finish(process)).ExitCode);

        Assert.Equal(Enumerable.Range(1, run.Events.Count), run.Events.Select(happened => (int)happened.Seq));
        var steps = run.Events.OfType<StepLogged>().Select(logged => logged.Step).ToList();
        Assert.Equal(Enumerable.Range(1, steps.Count), steps);
        Assert.Empty(Directory.GetDirectories(run.Folder.Checkpoints, ".*"));
        Assert.InRange(saved.Step, warning.Step + 1, steps.Count);
    }

    private static void Limit(Process process, string bytes)
    {
        using var prlimit = Process.Start("prlimit", ["--pid", $"{process.Id}", $"--fsize={bytes}:"]);
        prlimit.WaitForExit();
        Assert.Equal(0, prlimit.ExitCode);
    }
}
