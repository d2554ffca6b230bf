using System.Globalization;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

public sealed class EstimateCommandTests : IDisposable
{
    private readonly SampleRun _run = new(new() { PerDeviceTrainBatchSize = 32, MaxLength = 64 });

    public void Dispose() => _run.Dispose();

    [Fact]
    public async Task Estimate_tells_parts_peak_and_verdict()
    {
        var (exitCode, output, error) = await Finetune.Run("estimate", _run.Folder.Path, "--memory-limit", "64GiB");

        Assert.True(exitCode == TrainerExit.Succeeded, error);
        var lines = output.Split('\n').Where(line => line.Length > 20).ToDictionary(line => line[..20].Trim(), line => line[20..].Trim());
        Assert.Equal("7.5 MB", lines["trained weights"]); // 1,875,330 weights of four bytes
        Assert.Equal("15.0 MB", lines["optimizer state"]);
        Assert.Equal("fits", lines["verdict"]);
        Assert.DoesNotContain("instead", lines.Keys);
        Assert.False(File.Exists(_run.Folder.Events)); // Nothing was begun.
    }

    [Fact]
    public async Task Estimate_tells_what_would_fit()
    {
        var peak = (await Finetune.Run("estimate", _run.Folder.Path)).Output.Split('\n').Single(line => line.StartsWith("peak ", StringComparison.Ordinal))[20..].Replace("MB", "").Trim();

        var (exitCode, output, error) = await Finetune.Run("estimate", _run.Folder.Path, "--memory-limit", string.Create(CultureInfo.InvariantCulture, $"{1.02e6 * double.Parse(peak, CultureInfo.InvariantCulture):F0}"));

        Assert.True(exitCode == TrainerExit.Succeeded, error);
        Assert.Contains("verdict              tight", output, StringComparison.Ordinal);
        Assert.Contains("instead              /training/gradient_checkpointing = true", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Faults_are_told_as_by_train()
    {
        _run.WriteSpec(new { LearningRate = -1 });

        var (exitCode, _, error) = await Finetune.Run("estimate", _run.Folder.Path);

        Assert.Equal(TrainerExit.Faulted, exitCode);
        Assert.Contains("/training/learning_rate", error, StringComparison.Ordinal);
    }

    /// <summary>The peak of the trainer's process, runtime and allocator and all; the bench compares what its tensors take, and more exactly.</summary>
    [Fact]
    public async Task A_run_needs_what_it_has_forecast()
    {
        var lines = File.ReadAllLines(Path.Combine(Finetune.Samples, "sst2", "train.tsv"))[1..].Select(line => line.Split('\t')[0]).ToArray();
        File.WriteAllLines(Path.Combine(_run.Folder.Path, "train.tsv"), lines.Chunk(10).Take(128).Select((texts, row) => $"{string.Join(' ', texts)}\t{row % 2}").Prepend("text\tlabel")); // all longer than max_length
        _run.WriteSpec(new TrainingArguments { MaxSteps = 4, LoggingSteps = 1, PerDeviceTrainBatchSize = 64, MaxLength = 128, EvalStrategy = IntervalStrategy.No, LoadBestModelAtEnd = false });

        var (exitCode, _, error) = await Finetune.Run("train", _run.Folder.Path);

        Assert.True(exitCode == TrainerExit.Succeeded, error);
        var forecast = _run.Events.OfType<RunStarted>().Single().ForecastMemoryBytes!.Value;
        var peak = _run.Events.OfType<RunSucceeded>().Single().PeakMemoryBytes!.Value;
        Assert.InRange((double)forecast / peak, 0.75, 1.25); // 652 MB and 574 MB when this was written.
        Assert.InRange(_run.Events.OfType<StepLogged>().Last().Metrics[StepLogged.PeakMemory], 0.5 * peak, peak);
    }
}
