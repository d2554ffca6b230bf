using System.Globalization;
using FineTuneService.Contracts;

namespace FineTuneService.Cli;

/// <summary>Shows a run to a person: one line that moves on a terminal, a line an event elsewhere.</summary>
internal sealed class ProgressDisplay(TextWriter output, bool live)
{
    private readonly OrderedDictionary<string, Finding> _findings = [];
    private int _step, _totalSteps;

    public void Show(TrainingEvent happened)
    {
        switch (happened)
        {
            case RunStarted started:
                _totalSteps = started.TotalSteps;
                Line($"{started.TrainRows} training rows{(started.ReplayedRows > 0 ? $" ({started.ReplayedRows} of them replayed)" : "")}, {started.ValidationRows} validation rows, {started.TrainableParameters:N0} of {started.TotalParameters:N0} parameters trained on {started.Device}");
                if (started.TruncatedRows > 0)
                    Line($"{started.TruncatedRows} rows were longer than max_length and lost {started.TruncatedTokens} tokens");
                if (started.Step > 0)
                    Line($"continued from step {started.Step}");
                break;
            case StepLogged logged:
                Step(logged);
                break;
            case Evaluated evaluated:
                Line($"{evaluated.Split} at step {evaluated.Step}: " + string.Join(", ", evaluated.Metrics.Select(metric => string.Create(CultureInfo.InvariantCulture, $"{metric.Key} {metric.Value:G5}"))));
                break;
            case Generated generated:
                foreach (var sample in generated.Samples.Take(1))
                    Line(string.Create(CultureInfo.InvariantCulture, $"sample at step {generated.Step}: {Flat(sample.Prompt)} → {Flat(sample.Text)}"));
                break;
            case CheckpointSaved saved:
                Line(string.Create(CultureInfo.InvariantCulture, $"saved {saved.Path} ({saved.Bytes / 1e6:F1} MB){(saved.Best ? ", the best so far" : "")}"));
                break;
            case Noted noted:
                Line($"{noted.Level}: {noted.Message}");
                break;
            case Diagnosed { Finding: var finding }:
                if (_findings.TryAdd(finding.Code, finding) && finding.Severity == FindingSeverity.High && _step < _totalSteps)
                    Line($"{finding.Code}: {finding.Explanation}"); // There may be reason to stop now; the rest is told at the end.
                _findings[finding.Code] = finding;
                break;
            case RunFailed failed:
                TellFindings();
                Line($"failed: {failed.Reason}");
                break;
            case RunStopped stopped:
                Line(stopped.Reason + " The same command continues it.");
                break;
            case RunSucceeded succeeded:
                TellFindings();
                Line($"done after {succeeded.FinalStep} steps" + (succeeded.BestStep is { } best
                    ? string.Create(CultureInfo.InvariantCulture, $"; best: checkpoint-{best} with {succeeded.BestMetricName} {succeeded.BestMetric:G5}")
                    : ""));
                break;
        }
    }

    /// <summary>What the numbers have shown, what to do, and as a patch of the specification.</summary>
    private void TellFindings()
    {
        foreach (var (code, finding) in _findings)
        {
            Line($"{code} ({finding.Severity.ToString().ToLowerInvariant()}, steps {finding.FromStep} to {finding.ToStep}): {finding.Explanation}");
            Line($"  {finding.Remedy}{(finding.Patch is { } patch ? $" In job.json: {patch.ToJsonString()}" : "")}");
        }
        _findings.Clear();
    }

    private void Step(StepLogged logged)
    {
        _step = logged.Step;
        var filled = _totalSteps == 0 ? 0 : 24 * logged.Step / _totalSteps;
        var left = TimeSpan.FromSeconds(Math.Round(logged.EtaSeconds ?? 0));
        var text = string.Create(CultureInfo.InvariantCulture,
            $"[{new string('#', filled),-24}] {logged.Step}/{_totalSteps}  loss {logged.Metrics["loss"]:F4}  {logged.Metrics["samples_per_second"]:F0} samples/s  {left:c} left");
        if (live)
            output.Write($"\r\u001b[2K{text}");
        else
            output.WriteLine(text);
    }

    /// <summary>On one line: what breaks it, or steers a terminal, becomes a space.</summary>
    private static string Flat(string text) => string.Concat(text.Select(unit => char.IsControl(unit) ? ' ' : unit));

    private void Line(FormattableString text) => Line(text.ToString(CultureInfo.InvariantCulture));

    private void Line(string text) => output.WriteLine(live ? $"\r\u001b[2K{text}" : text);
}
