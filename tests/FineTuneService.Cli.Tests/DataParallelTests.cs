using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>Two processes that train one run together: a small Llama without dropout, on packed Shakespeare.</summary>
public sealed class DataParallelTests
{
    private const int Steps = 12;

    private static readonly TrainingArguments Alone = new()
    {
        PerDeviceTrainBatchSize = 4,
        GradientAccumulationSteps = 4,
        MaxSteps = Steps,
        MaxLength = 64,
        LearningRate = 3e-3,
        LoggingSteps = 1,
        EvalStrategy = IntervalStrategy.Steps,
        EvalSteps = 4,
        SaveStrategy = IntervalStrategy.Steps,
        SaveSteps = 4,
    };

    /// <summary>As many rows a step: half as many micro-batches for each. An epoch's last step has one micro-batch, so that one process stands by.</summary>
    private static readonly TrainingArguments Together = Alone with { GradientAccumulationSteps = 2 };

    [Fact]
    public async Task Two_processes_follow_the_curve_of_one_that_accumulates_twice_as_much()
    {
        using var one = Run(Alone, devices: 1);
        await Train(one);
        using var two = Run(Together, devices: 2);
        await Train(two);

        AssertSameCurve(one, two);
        Assert.Equal(one.Events.OfType<Evaluated>().Last().Metrics["eval_loss"], two.Events.OfType<Evaluated>().Last().Metrics["eval_loss"], 1e-4);
        Assert.Single(two.Events.OfType<RunStarted>());
        Assert.Equal(Enumerable.Range(1, two.Events.Count).Select(number => (long)number), two.Events.Select(happened => happened.Seq));
    }

    [Fact]
    public async Task A_process_that_dies_ends_the_run_which_then_goes_on_to_the_same_bytes()
    {
        using var whole = Run(Together, devices: 2);
        await Train(whole);
        using var broken = Run(Together, devices: 2);

        using var process = Finetune.Start("train", broken.Folder.Path);
        await broken.WaitFor(process, happened => happened is StepLogged && happened.Step >= 6);
        var ranks = Ranks(process);
        Assert.Equal(2, ranks.Length);
        Process.GetProcessById(ranks[1]).Kill();
        var (exitCode, _, _) = await Finetune.Finish(process);

        Assert.NotEqual(TrainerExit.Succeeded, exitCode);
        await AssertGone(ranks);
        await Train(broken);
        Assert.Equal(Hash(whole), Hash(broken));
        Assert.Equal(4, broken.Events.OfType<RunStarted>().Last().Step);
    }

    [Fact]
    public async Task A_run_of_two_processes_stops_when_it_is_asked_to_and_ends_with_its_supervisor()
    {
        using var run = Run(Together with { SaveStrategy = IntervalStrategy.No, LoadBestModelAtEnd = false, MaxSteps = 400 }, devices: 2);

        using var asked = Finetune.Start("train", run.Folder.Path, "--supervised");
        await run.WaitFor(asked, happened => happened is StepLogged && happened.Step >= 3);
        await asked.StandardInput.WriteLineAsync("stop");
        await asked.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal(TrainerExit.Stopped, (await Finetune.Finish(asked)).ExitCode);
        var stoppedAt = run.Events.OfType<RunStopped>().Single().Step;
        Assert.True(Directory.Exists(run.Folder.Checkpoint(stoppedAt)));

        using var orphaned = Finetune.Start("train", run.Folder.Path, "--supervised");
        await run.WaitFor(orphaned, happened => happened is StepLogged && happened.Step >= stoppedAt + 2);
        var ranks = Ranks(orphaned);
        orphaned.StandardInput.Close();
        await Finetune.Finish(orphaned);
        await AssertGone(ranks);

        using var killed = Finetune.Start("train", run.Folder.Path, "--supervised");
        await run.WaitFor(killed, happened => happened is StepLogged && happened.Attempt == 3);
        ranks = Ranks(killed);
        killed.Kill();
        await Finetune.Finish(killed);
        await AssertGone(ranks);
    }

    [Fact]
    public async Task A_fault_is_told_once()
    {
        using var run = Run(Together with { MetricForBestModel = "glory" }, devices: 2);

        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path);

        Assert.Equal(TrainerExit.Faulted, exitCode);
        Assert.Contains("error: /training/metric_for_best_model = eval_glory", error, StringComparison.Ordinal);
        Assert.Single(run.Events.OfType<RunFailed>());
    }

    private static void AssertSameCurve(SampleRun one, SampleRun two)
    {
        var expected = one.Events.OfType<StepLogged>().ToArray();
        var actual = two.Events.OfType<StepLogged>().ToArray();
        Assert.Equal(expected.Select(step => (step.Step, step.Epoch)), actual.Select(step => (step.Step, step.Epoch)));
        Assert.Contains(expected, step => step.Epoch == 1);
        foreach (var name in new[] { "loss", "grad_norm", "mean_token_accuracy", "num_input_tokens_seen", "learning_rate" })
            Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First.Metrics[name], pair.Second.Metrics[name], 1e-4));
    }

    private static async Task Train(SampleRun run)
    {
        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);
    }

    /// <summary>68 rows to train on: 17 micro-batches an epoch, the last step of which has one.</summary>
    private static SampleRun Run(TrainingArguments training, int devices)
    {
        var run = new SampleRun(new
        {
            BaseModel = Path.Combine(AppContext.BaseDirectory, "tiny-llama"),
            Task = new { Type = "causal-lm", Packing = false, SamplePrompts = Array.Empty<string>() },
            Dataset = new { Train = "train.jsonl", Validation = "validation.jsonl" },
            Training = training,
            Devices = devices,
        });
        var rows = File.ReadLines(Path.Combine(Finetune.Samples, "shakespeare", "train.jsonl")).Select(row => JsonNode.Parse(row)!["text"]!.GetValue<string>()[..100]).ToArray();
        Write("train.jsonl", rows[..68]);
        Write("validation.jsonl", rows[68..80]);
        return run;

        void Write(string name, string[] texts) => File.WriteAllLines(Path.Combine(run.Folder.Path, name), texts.Select(text => JsonSerializer.Serialize(new { text })));
    }

    /// <summary>A launcher's child is mpirun, and its children are they.</summary>
    private static int[] Ranks(Process launcher) => Children(Assert.Single(Children(launcher.Id)));

    private static int[] Children(int process) =>
        [.. Directory.GetDirectories($"/proc/{process}/task").SelectMany(thread => File.ReadAllText(Path.Combine(thread, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries)).Select(id => int.Parse(id, CultureInfo.InvariantCulture))];

    private static async Task AssertGone(int[] processes)
    {
        var patience = Stopwatch.StartNew();
        while (processes.Any(IsAlive) && patience.Elapsed < TimeSpan.FromSeconds(20))
            await Task.Delay(50, TestContext.Current.CancellationToken);
        Assert.DoesNotContain(processes, IsAlive);

        static bool IsAlive(int process) => Directory.Exists($"/proc/{process}");
    }

    private static string Hash(SampleRun run) => run.Hash(Steps, "model.safetensors", "optimizer.safetensors");
}
