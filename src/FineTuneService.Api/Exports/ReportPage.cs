using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;

namespace FineTuneService.Api.Exports;

/// <summary>A job as a page of its own. Every text that people or their data have brought is escaped.</summary>
internal sealed class ReportPage
{
    private static readonly JsonSerializerOptions Indented = new(Catalog.Json) { WriteIndented = true };

    public required JobView Job { get; init; }
    public required DateTimeOffset MadeAt { get; init; }

    /// <summary>Null until the trainer has read model and data.</summary>
    public required RunStarted? Started { get; init; }
    public required IReadOnlyList<Finding> Findings { get; init; }
    public required IReadOnlyList<Curve> Curves { get; init; }
    public required IReadOnlyList<Metric> Evaluations { get; init; }
    public required IReadOnlyList<Checkpoint> Checkpoints { get; init; }

    public string Html() => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>{Text(Title)}</title>
        <style>{Style}</style>
        </head>
        <body>
        <h1>{Text(Title)}</h1>
        <p class="dim">{Text(Job.Id)}, told at {Time(MadeAt)}</p>
        {Section("Outcome", Facts(Outcome()))}
        {Section("Findings", string.Concat(Findings.Select(Finding)))}
        {Section("Curves", string.Concat(Charts()))}
        {Section("Evaluations", EvaluationTable())}
        {Section("Checkpoints", CheckpointTable())}
        {Section("Environment", Facts(Environment()))}
        {Section("Specification", $"<pre>{Text(JsonSerializer.Serialize(Job.Spec, Indented))}</pre>")}
        {Section("Chosen by the service", Facts(Job.Resolutions.Select(chosen => (chosen.Pointer, $"{chosen.Value}: {chosen.Reason}"))))}
        </body>
        </html>

        """;

    private string Title => Job.Name ?? $"{Job.Spec.BaseModel}, {Catalog.NameOf(Job.Spec.Task)}";

    private IEnumerable<(string, string)> Outcome()
    {
        yield return ("status", JsonSerializer.Serialize(Job.Status, SnakeCaseJson.Options).Trim('"') + (Job.Reason is null ? "" : $": {Job.Reason}"));
        foreach (var fault in Job.Faults ?? [])
            yield return ("fault", fault.ToString());
        if (Job.Best is { } best)
            yield return ("best", string.Create(CultureInfo.InvariantCulture, $"{best.Name} {best.Value:G5} at step {best.Step}"));
        yield return ("steps", string.Create(CultureInfo.InvariantCulture, $"{Job.Progress.Step} of {Job.Progress.TotalSteps}, {Job.Progress.Epoch:0.##} epochs"));
        yield return ("posted", Time(Job.CreatedAt));
        if (Job.FinishedAt is { } finished)
            yield return ("ended", Time(finished));
        yield return ("has run", TimeSpan.FromSeconds(Math.Round(Job.RunSeconds)).ToString("c", CultureInfo.InvariantCulture) + (Job.Attempt > 1 ? $", in {Job.Attempt} attempts" : ""));
    }

    private IEnumerable<(string, string)> Environment()
    {
        yield return ("base model", Job.Spec.BaseModel + (Job.Spec.Revision is null ? "" : $" at {Job.Spec.Revision}"));
        if (Started is { } started)
        {
            yield return ("device", started.Device);
            yield return ("parameters", string.Create(CultureInfo.InvariantCulture, $"{started.TrainableParameters:N0} trained of {started.TotalParameters:N0}"));
            yield return ("rows", string.Create(CultureInfo.InvariantCulture, $"{started.TrainRows:N0} to learn from{(started.ReplayedRows > 0 ? $" ({started.ReplayedRows:N0} of them replayed)" : "")}, {started.ValidationRows:N0} to validate on, {started.TruncatedRows:N0} cut to max_length"));
        }
        if (Job.Memory?.ForecastBytes is { } forecast)
            yield return ("memory forecast", Megabytes(forecast));
        if (Job.Memory?.PeakBytes is { } peak)
            yield return ("memory needed", Megabytes(peak));
    }

    /// <summary>Loss of training and validation in one, every other metric in a chart of its own.</summary>
    private IEnumerable<string> Charts()
    {
        var loss = Curves.Where(curve => curve.Name is "loss" or "eval_loss").OrderByDescending(curve => curve.Name).ToList();
        foreach (var curves in Curves.Except(loss).OrderBy(curve => !curve.Name.StartsWith("eval_", StringComparison.Ordinal)).ThenBy(curve => curve.Name, StringComparer.Ordinal).Select(curve => new List<Curve> { curve }).Prepend(loss))
            if (SvgChart.Draw(curves) is { Length: > 0 } svg)
                yield return $"<figure><figcaption>{string.Join(", ", curves.Select((curve, number) => $"<span class=\"name{number}\">{Text(curve.Name)}</span>"))}</figcaption>{svg}</figure>";
    }

    private string EvaluationTable()
    {
        var names = Evaluations.Select(metric => metric.Name).Distinct().Order(StringComparer.Ordinal).ToList();
        return Table(["step", .. names], Evaluations.GroupBy(metric => metric.Seq).Select(line =>
        {
            var values = line.ToDictionary(metric => metric.Name, metric => metric.Value);
            return (IEnumerable<string>)[Number(line.First().Step), .. names.Select(name => values.TryGetValue(name, out var value) ? Number(value) : "")];
        }));
    }

    private string CheckpointTable() => Table(["step", "size", "", "metrics"], Checkpoints.Select(checkpoint => (IEnumerable<string>)
    [
        Number(checkpoint.Step), Megabytes(checkpoint.Bytes), (checkpoint.Best ? "best " : "") + (checkpoint.Final ? "final" : ""),
        string.Join(", ", JsonSerializer.Deserialize<Dictionary<string, double>>(checkpoint.Metrics)!.Select(metric => $"{metric.Key} {Number(metric.Value)}")),
    ]));

    private static string Finding(Finding finding) => $"""
        <div class="finding {finding.Severity}"><b>{Text(finding.Code)}</b> <span class="dim">steps {finding.FromStep} to {finding.ToStep}</span><br>{Text(finding.Explanation)}<br><i>{Text(finding.Remedy)}</i></div>
        """;

    private static string Section(string title, string body) => body.Length == 0 ? "" : $"<section><h2>{title}</h2>{body}</section>";

    private static string Facts(IEnumerable<(string Name, string Value)> facts)
    {
        var rows = string.Concat(facts.Select(fact => $"<dt>{Text(fact.Name)}</dt><dd>{Text(fact.Value)}</dd>"));
        return rows.Length == 0 ? "" : $"<dl>{rows}</dl>";
    }

    private static string Table(IEnumerable<string> head, IEnumerable<IEnumerable<string>> rows)
    {
        var body = new StringBuilder();
        foreach (var row in rows)
            body.Append("<tr>").AppendJoin("", row.Select(cell => $"<td>{Text(cell)}</td>")).Append("</tr>");
        return body.Length == 0 ? "" : $"<div class=\"wide\"><table><tr>{string.Concat(head.Select(cell => $"<th>{Text(cell)}</th>"))}</tr>{body}</table></div>";
    }

    private static string Text(string text) => HtmlEncoder.Default.Encode(text);

    private static string Number(double value) => value.ToString("G5", CultureInfo.InvariantCulture);

    private static string Megabytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:N1} MB");

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private const string Style = """
        :root { --ink: #1b1f24; --paper: #fff; --dim: #6a737d; --line: #d8dee4; --c0: #0a66c2; --c1: #c2570a; --soft: #f4f6f8 }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --dim: #8b949e; --line: #30363d; --c0: #58a6ff; --c1: #f0883e; --soft: #161b22 } }
        @media print { :root { --ink: #000; --paper: #fff; --dim: #555; --line: #bbb; --c0: #0a66c2; --c1: #c2570a; --soft: #fff } section { break-inside: avoid } }
        body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
        h1 { margin-bottom: 0 } h2 { border-bottom: 1px solid var(--line); margin-top: 2rem } .dim { color: var(--dim) }
        dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem } dt { color: var(--dim) } dd { margin: 0; overflow-wrap: anywhere }
        .wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums } th, td { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line) } th { color: var(--dim); font-weight: normal }
        pre { background: var(--soft); padding: 1rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere }
        figure { display: inline-block; width: 28rem; max-width: 100%; margin: 0 1rem 1rem 0; break-inside: avoid } svg { width: 100% } svg text { font-size: 12px; fill: var(--dim) }
        .grid { stroke: var(--line) } path { fill: none; stroke-width: 1.5; stroke-linejoin: round } .curve0 { stroke: var(--c0) } .curve1 { stroke: var(--c1) } .dot0, .name0 { fill: var(--c0); color: var(--c0) } .dot1, .name1 { fill: var(--c1); color: var(--c1) }
        .finding { background: var(--soft); border-left: 4px solid var(--line); padding: .5rem 1rem; margin: .5rem 0 } .Warning { border-color: var(--c1) } .High { border-color: #d1242f }
        """;
}
