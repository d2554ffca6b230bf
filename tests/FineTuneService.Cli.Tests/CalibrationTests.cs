using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>From a run without evaluations to calibrated predictions.</summary>
public sealed class CalibrationTests : IDisposable
{
    private const int Steps = 100;

    private readonly SampleRun _run = new(new TrainingArguments
    {
        PerDeviceTrainBatchSize = 16,
        MaxSteps = Steps,
        MaxLength = 32,
        LearningRate = 1e-3,
        EvalStrategy = IntervalStrategy.No,
        LoadBestModelAtEnd = false,
    }, rows: 400);

    public void Dispose() => _run.Dispose();

    [Fact]
    public async Task The_last_checkpoint_is_calibrated_and_predictions_go_by_it()
    {
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", _run.Folder.Path)).ExitCode);
        var checkpoint = _run.Folder.Checkpoint(Steps);
        T Read<T>(string file) => JsonSerializer.Deserialize<T>(File.ReadAllBytes(Path.Combine(checkpoint, file)), SnakeCaseJson.Options)!;
        var (report, temperature) = (Read<ClassificationReport>(ClassificationReport.FileName), Read<Calibration>(Calibration.FileName).Temperature);

        // Rows are those of the file, by their lines.
        var rows = File.ReadAllLines(Path.Combine(_run.Folder.Path, "dev.tsv"));
        var predictions = File.ReadAllLines(Path.Combine(checkpoint, ValidationPrediction.FileName)).Select(line => JsonSerializer.Deserialize<ValidationPrediction>(line, SnakeCaseJson.Options)!).ToList();
        Assert.Equal(Enumerable.Range(2, 64), predictions.Select(prediction => (int)prediction.Line!.Value));
        Assert.All(predictions, prediction => Assert.EndsWith($"\t{report.Classes[Assert.Single(prediction.Labels)].Label}", rows[(int)prediction.Line! - 1], StringComparison.Ordinal));
        Assert.NotEqual(1, temperature);
        Assert.True(report.Calibrated.Nll < report.Uncalibrated.Nll);

        // The first row's probabilities are those of its logits, divided or not.
        var (logits, text) = (predictions[0].Logits!, rows[1].Split('\t')[0]);
        var (calibrated, asItIs) = (await Predict(checkpoint, text), await Predict(checkpoint, text, "--uncalibrated"));
        Assert.Equal(1 / (1 + Math.Exp((logits[0] - logits[1]) / temperature)), calibrated.Probabilities!["1"], 1e-3);
        Assert.Equal(1 / (1 + Math.Exp(logits[0] - logits[1])), asItIs.Probabilities!["1"], 1e-3);
        Assert.Equal(asItIs.Label, calibrated.Label);
        Assert.Equal(predictions[0].Probability, calibrated.Probabilities!.Values.Max(), 1e-3);
        var sure = calibrated.Probabilities!.Values.Max();
        var abstained = await Predict(checkpoint, text, "--abstain-below", FormattableString.Invariant($"{sure + 0.001}"));
        Assert.Equal((null, true), (abstained.Label, abstained.Abstained));
        Assert.NotNull((await Predict(checkpoint, text, "--abstain-below", FormattableString.Invariant($"{sure - 0.001}"))).Label);

        // An evaluation tells the same of the same rows.
        var (_, output, error) = await Finetune.Run("evaluate", checkpoint, Path.Combine(_run.Folder.Path, "dev.tsv"), "--abstain-below", FormattableString.Invariant($"{report.AbstainCurve[^1].AbstainBelow:R}"));
        Assert.Equal("", error);
        var scores = output.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(words => words.Length == 2).ToDictionary(words => words[0], words => double.Parse(words[1], System.Globalization.CultureInfo.InvariantCulture));
        Assert.Equal(report.Accuracy, scores["accuracy"], 1e-4);
        Assert.Equal(report.Uncalibrated.Nll, scores["loss"], 1e-3);
        Assert.Equal(report.Calibrated.Nll, scores["calibrated_loss"], 1e-3);
        Assert.Equal(temperature, scores["temperature"], 1e-3);
        Assert.Equal(report.AbstainCurve[^1].Coverage, scores["coverage"], 0.02);
    }

    private static async Task<Prediction> Predict(string checkpoint, string text, params string[] options)
    {
        var (exitCode, output, error) = await Finetune.Run(["predict", checkpoint, text, .. options]);
        Assert.True(exitCode == 0, error);
        return JsonSerializer.Deserialize<Prediction>(output, SnakeCaseJson.Options)!;
    }
}
