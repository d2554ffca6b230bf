using System.Globalization;
using System.Text.Json;
using FineTuneService.Client;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Remote;

/// <summary>A job's events as lines of text, each with its time.</summary>
internal sealed class EventLines : IDisposable
{
    private readonly StringWriter _text = new(CultureInfo.InvariantCulture);
    private readonly ProgressDisplay _display;

    public EventLines() => _display = new(_text, live: false);

    /// <returns>Nothing for an event that says nothing to people.</returns>
    public string Of(Event happened)
    {
        var time = happened.Time.ToLocalTime().ToString("HH:mm:ss", CultureInfo.InvariantCulture);
        return string.Concat(Lines(happened).Select(line => $"{time} {line}\n"));
    }

    public void Dispose() => _text.Dispose();

    private string[] Lines(Event happened)
    {
        if (happened.Type == "status")
            return [StatusLine((JsonElement)happened.Data)];
        if (JobWatch.TrainingEventOf(happened) is not { } told || told is RunStopped) // Which the change of state tells.
            return [];
        if (told is Diagnosed { Finding: var finding })
            return [$"finding: {finding.Code}, steps {finding.FromStep} to {finding.ToStep}: {finding.Explanation} {finding.Remedy}"];
        _display.Show(told);
        var lines = _text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        _text.GetStringBuilder().Clear();
        return lines;
    }

    private static string StatusLine(JsonElement data) =>
        data.GetProperty("status").GetString() + (data.TryGetProperty("reason", out var reason) ? $": {reason.GetString()}" : "");
}
