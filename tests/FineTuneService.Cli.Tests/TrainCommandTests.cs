using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

public sealed class TrainCommandTests(TrainCommandTests.WholeRun shared) : IClassFixture<TrainCommandTests.WholeRun>
{
    private const int Steps = 40;

    private static readonly TrainingArguments Short = new()
    {
        PerDeviceTrainBatchSize = 8,
        MaxSteps = Steps,
        MaxLength = 32,
        LearningRate = 1e-3,
        WarmupSteps = 0.1,
        LoggingSteps = 1,
        EvalStrategy = IntervalStrategy.Steps,
        EvalSteps = 10,
        SaveStrategy = IntervalStrategy.Steps,
        SaveSteps = 10,
    };

    [Fact]
    public async Task What_the_numbers_have_shown_is_told_at_the_end_with_what_to_do()
    {
        using var run = new SampleRun(Short with { MaxLength = 8, MaxSteps = 10, EvalStrategy = IntervalStrategy.No, LoadBestModelAtEnd = false });

        var (exitCode, output, error) = await Finetune.Run("train", run.Folder.Path);

        Assert.True(exitCode == TrainerExit.Succeeded, error);
        var finding = run.Events.OfType<Diagnosed>().Last(diagnosed => diagnosed.Finding.Code == "truncation").Finding;
        var told = output[output.IndexOf("truncation (", StringComparison.Ordinal)..];
        Assert.Contains(finding.Explanation, told, StringComparison.Ordinal);
        Assert.Contains($"{finding.Remedy} In job.json: {finding.Patch!.ToJsonString()}", told, StringComparison.Ordinal);
        Assert.EndsWith("done after 10 steps", output.TrimEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Killed_at_any_step_a_run_ends_with_the_same_bytes()
    {
        var whole = shared.Run;
        using var broken = new SampleRun(Short);
        foreach (var step in new[] { 3, 17, 20, 38 }) // before the first checkpoint, between two, at one, near the end
        {
            using var process = Finetune.Start("train", broken.Folder.Path);
            await broken.WaitFor(process, happened => happened is StepLogged && happened.Step >= step);
            process.Kill();
            await Finetune.Finish(process);
        }
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", broken.Folder.Path)).ExitCode);

        Assert.Equal(Hash(whole, "model.safetensors"), Hash(broken, "model.safetensors"));
        Assert.Equal(Hash(whole, "optimizer.safetensors"), Hash(broken, "optimizer.safetensors"));
        Assert.Equal(Curve(whole), Curve(broken));
        Assert.Equal(Enumerable.Range(1, broken.Events.Count), broken.Events.Select(happened => (int)happened.Seq));
        Assert.Equal(5, broken.Events[^1].Attempt);
    }

    [Fact]
    public async Task Stopped_by_its_supervisor_it_saves_and_continues_there()
    {
        using var run = new SampleRun(Short);
        using (var process = Finetune.Start("train", run.Folder.Path, "--supervised", "--attempt", "7"))
        {
            await run.WaitFor(process, happened => happened is StepLogged { Step: >= 4 });
            await process.StandardInput.WriteLineAsync("stop");
            await process.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
            Assert.Equal(TrainerExit.Stopped, (await Finetune.Finish(process)).ExitCode);
        }
        var stopped = Assert.IsType<RunStopped>(run.Events[^1]);
        Assert.Equal(7, stopped.Attempt);
        Assert.True(Directory.Exists(run.Folder.Checkpoint(stopped.Step)));

        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", run.Folder.Path)).ExitCode);
        Assert.Equal(Hash(shared.Run, "model.safetensors"), Hash(run, "model.safetensors"));
    }

    [Fact]
    public async Task It_dies_with_its_supervisor()
    {
        using var run = new SampleRun(Short with { MaxSteps = 100_000, SaveStrategy = IntervalStrategy.No, EvalStrategy = IntervalStrategy.No, LoadBestModelAtEnd = false });
        using var process = Finetune.Start("train", run.Folder.Path, "--supervised");
        await run.WaitFor(process, happened => happened is StepLogged);
        process.StandardInput.Close();

        Assert.Equal(128 + 9, (await Finetune.Finish(process)).ExitCode);
    }

    [Fact]
    public async Task A_folder_has_one_trainer_at_a_time()
    {
        using var run = new SampleRun(Short with { MaxSteps = 100_000, SaveStrategy = IntervalStrategy.No, EvalStrategy = IntervalStrategy.No, LoadBestModelAtEnd = false });
        using var first = Finetune.Start("train", run.Folder.Path);
        await run.WaitFor(first, happened => happened is StepLogged);

        Assert.Equal(TrainerExit.Busy, (await Finetune.Run("train", run.Folder.Path)).ExitCode);
        first.Kill();
        await Finetune.Finish(first);
    }

    [Fact]
    public void Best_and_final_are_kept_and_the_rest_deleted()
    {
        var run = shared.Run;
        var best = run.Events.OfType<CheckpointSaved>().Last(saved => saved.Best).Step;
        Assert.Equal(
            new[] { best, 40 }.Distinct().Order(),
            Directory.GetDirectories(run.Folder.Checkpoints).Select(folder => int.Parse(Path.GetFileName(folder).Split('-')[1], System.Globalization.CultureInfo.InvariantCulture)).Order());
        var succeeded = Assert.IsType<RunSucceeded>(run.Events[^1]);
        Assert.Equal(best, succeeded.BestStep);
        Assert.Equal(run.Events.OfType<Evaluated>().Min(evaluated => evaluated.Metrics["eval_loss"]), succeeded.BestMetric);
    }

    [Fact]
    public void A_checkpoint_is_proved_and_described()
    {
        var run = shared.Run;
        var proof = JsonNode.Parse(File.ReadAllText(Path.Combine(run.Folder.Checkpoint(40), "manifest.json")))!["verification"]!;
        Assert.Equal(0, proof["read_back_error"]!.GetValue<double>());
        Assert.Equal(0, proof["opened_error"]!.GetValue<double>());
        var card = File.ReadAllText(Path.Combine(run.Folder.Checkpoint(40), "README.md"));
        Assert.StartsWith("---\nbase_model: \"tiny-bert-en\"\n", card, StringComparison.Ordinal);
        Assert.Contains("pipeline_tag: text-classification", card, StringComparison.Ordinal);
        Assert.Contains(run.Events.OfType<Evaluated>().Last().Metrics["eval_loss"].ToString("G5", System.Globalization.CultureInfo.InvariantCulture), card, StringComparison.Ordinal);
        Assert.DoesNotContain(run.Folder.Path, card, StringComparison.Ordinal);
    }

    /// <summary>As if the process had died between the checkpoint's publication and its line in the log, and in the middle of deleting another.</summary>
    [Fact]
    public async Task A_checkpoint_that_the_log_does_not_know_is_told_once_and_what_is_half_deleted_goes()
    {
        using var run = new SampleRun(Short);
        await Finetune.Run("train", run.Folder.Path);
        var untold = run.Events.OfType<CheckpointSaved>().Last();
        File.WriteAllLines(run.Folder.Events, File.ReadLines(run.Folder.Events).Take((int)untold.Seq - 1).ToList());
        Directory.CreateDirectory(Path.Combine(run.Folder.Checkpoints, ".deleted-checkpoint-10"));

        foreach (var _ in new[] { "told", "told already" })
            Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", run.Folder.Path)).ExitCode);

        var told = Assert.Single(run.Events.OfType<CheckpointSaved>(), saved => saved.Step == untold.Step);
        Assert.Equal((untold.Path, untold.Bytes, untold.Best, untold.Final), (told.Path, told.Bytes, told.Best, told.Final));
        Assert.Equal(untold.Metrics, told.Metrics);
        Assert.Empty(Directory.GetDirectories(run.Folder.Checkpoints, ".*"));
    }

    [Fact]
    public async Task A_damaged_checkpoint_is_passed_over()
    {
        using var run = new SampleRun(Short with { SaveTotalLimit = 9 });
        await Finetune.Run("train", run.Folder.Path);
        var expected = Hash(run, "model.safetensors");
        foreach (var step in new[] { 40, 30 })
            using (var file = File.OpenWrite(Path.Combine(run.Folder.Checkpoint(step), "model.safetensors")))
            {
                file.Position = file.Length / 2;
                file.WriteByte(0xff);
            }

        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", run.Folder.Path)).ExitCode);
        Assert.Equal(2, run.Events.OfType<Noted>().Count(note => note.Code == "checkpoint_damaged"));
        Assert.Equal(20, run.Events.OfType<RunStarted>().Last().Step);
        Assert.Equal(expected, Hash(run, "model.safetensors"));
    }

    [Fact]
    public async Task A_fault_is_told_and_logged()
    {
        using var run = new SampleRun(Short);
        run.WriteSpec(new { LearningRate = -1, Epochs = 3 });

        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path);

        Assert.Equal(TrainerExit.Faulted, exitCode);
        Assert.Contains("/training/learning_rate", error, StringComparison.Ordinal);
        Assert.Equal(["/training/epochs", "/training/learning_rate"], Assert.IsType<RunFailed>(run.Events[^1]).Faults.Select(fault => fault.Pointer).Order());
    }

    [Fact]
    public async Task A_test_that_waits_for_a_trainer_that_ended_is_told_why()
    {
        using var run = new SampleRun(Short);
        run.WriteSpec(new { LearningRate = -1 });
        using var process = Finetune.Start("train", run.Folder.Path);

        var told = await Assert.ThrowsAsync<Xunit.Sdk.FailException>(() => run.WaitFor(process, happened => happened is StepLogged));

        Assert.Contains("exit code 2", told.Message, StringComparison.Ordinal);
        Assert.Contains("/training/learning_rate", told.Message, StringComparison.Ordinal);
    }

    private static string Hash(SampleRun run, string file) => run.Hash(40, file);

    /// <summary>Step and loss of the surviving trajectory: what an attempt logged beyond the point where the next one began is void.</summary>
    private static List<(int Step, double Loss)> Curve(SampleRun run)
    {
        var curve = new List<(int Step, double Loss)>();
        foreach (var happened in run.Events)
            if (happened is RunStarted started)
                curve.RemoveAll(point => point.Step > started.Step);
            else if (happened is StepLogged logged)
                curve.Add((logged.Step, logged.Metrics["loss"]));
        Assert.Equal(Enumerable.Range(1, 40), curve.Select(point => point.Step));
        return curve;
    }

    /// <summary>Trained in one go, once for all tests; they only read it.</summary>
    public sealed class WholeRun : IAsyncLifetime
    {
        internal SampleRun Run { get; } = new(Short);

        public async ValueTask InitializeAsync() => Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", Run.Folder.Path)).ExitCode);

        public ValueTask DisposeAsync()
        {
            Run.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
