using System.Globalization;
using System.Text.Json;
using FineTuneService.Client;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Remote;

/// <summary>A job on a terminal: how far it is, its losses as a picture, and what they show. Drawn over itself a few times a second.</summary>
internal sealed class JobScreen(TextWriter output, Func<(int Columns, int Rows)> size, Job job) : IDisposable
{
    private const string HideCursor = "\u001b[?25l", ShowCursor = "\u001b[?25h", EraseBelow = "\u001b[J";
    private const int MostRows = 16, LinesAround = 8;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(150);

    private readonly Dictionary<string, List<(int Step, double Value)>> _losses = new() { ["loss"] = [], ["eval_loss"] = [] };
    private readonly Dictionary<string, string> _findings = [];
    private string _status = job.Status.ToString().ToLowerInvariant();
    private string? _note = job.Reason;
    private int _step = job.Progress.Step;
    private int? _totalSteps = job.Progress.TotalSteps;
    private double? _pace = job.Progress.SamplesPerSecond, _left = job.Progress.EtaSeconds;
    private int _drawn;
    private long _drawnAt;

    /// <summary>A point of one of the two curves; of other metrics, and of steps that are there, it is left out.</summary>
    public void Add(string name, int step, double value)
    {
        if (_losses.TryGetValue(name, out var curve) && (curve.Count == 0 || step > curve[^1].Step))
            curve.Add((step, value));
    }

    public void Find(string code, string explanation) => _findings[code] = explanation;

    public void Show(Event happened)
    {
        var isPressing = true;
        switch (happened.Type == "status" ? null : JobWatch.TrainingEventOf(happened))
        {
            case null when happened.Type == "status":
                var data = (JsonElement)happened.Data;
                (_status, _note) = (data.GetProperty("status").GetString()!, data.TryGetProperty("reason", out var reason) ? reason.GetString() : null);
                break;
            case RunStarted started:
                (_step, _totalSteps) = (started.Step, started.TotalSteps);
                foreach (var curve in _losses.Values) // What an earlier attempt did beyond this step is void.
                    curve.RemoveAll(point => point.Step > started.LastValidStep);
                break;
            case StepLogged logged:
                (_step, _left) = (logged.Step, logged.EtaSeconds);
                _pace = logged.Metrics.TryGetValue("samples_per_second", out var pace) ? pace : _pace;
                Add("loss", logged.Step, logged.Metrics.GetValueOrDefault("loss", double.NaN));
                isPressing = TimeProvider.System.GetElapsedTime(_drawnAt) >= Pause;
                break;
            case Evaluated { Split: "validation" } evaluated:
                Add("eval_loss", evaluated.Step, evaluated.Metrics.GetValueOrDefault("eval_loss", double.NaN));
                break;
            case Diagnosed { Finding: var finding }:
                Find(finding.Code, finding.Explanation);
                break;
            case Noted noted:
                _note = noted.Message;
                break;
        }
        if (isPressing)
            Draw();
    }

    public void Draw()
    {
        var (columns, rows) = size();
        var lines = Lines(Math.Max(columns, 40), Math.Clamp(rows - LinesAround - _findings.Count, 4, MostRows)).ToList();
        output.Write(HideCursor + (_drawn > 0 ? $"\u001b[{_drawn}A\r" : "") + EraseBelow + string.Concat(lines.Select(line => line + "\n")));
        (_drawn, _drawnAt) = (lines.Count, TimeProvider.System.GetTimestamp());
    }

    public void Dispose()
    {
        Draw();
        output.Write(ShowCursor);
        output.Flush();
    }

    private IEnumerable<string> Lines(int columns, int rows)
    {
        yield return Cut($"{job.Name ?? job.Spec.BaseModel}  {job.Id}", columns);
        yield return Cut(Progress(), columns);
        foreach (var line in BrailleChart.Draw(columns - 1, rows, _losses["loss"], _losses["eval_loss"]))
            yield return line;
        foreach (var (code, explanation) in _findings)
            yield return Cut($"! {code}: {explanation}", columns);
        if (_note is not null)
            yield return Cut(_note, columns);
    }

    private string Progress()
    {
        var parts = new List<string> { _status };
        if (_totalSteps > 0)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"step {_step}/{_totalSteps} ({100.0 * _step / _totalSteps:0} %)"));
        foreach (var (name, curve) in _losses)
            if (curve.Count > 0)
                parts.Add(string.Create(CultureInfo.InvariantCulture, $"{name} {curve[^1].Value:F4}"));
        if (_pace is { } pace)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{pace:F0} samples/s"));
        if (_left is { } left && _status is "running")
            parts.Add($"{TimeSpan.FromSeconds(Math.Round(left)):c} left");
        return string.Join("  ", parts);
    }

    /// <summary>On one line of the terminal: what steers it becomes a space.</summary>
    private static string Cut(string text, int columns)
    {
        var flat = string.Concat(text.Select(unit => char.IsControl(unit) ? ' ' : unit));
        return flat.Length < columns ? flat : flat[..(columns - 2)] + "…";
    }
}
