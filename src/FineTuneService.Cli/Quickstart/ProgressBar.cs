using System.Globalization;
using System.Text.Json.Nodes;

namespace FineTuneService.Cli.Quickstart;

/// <summary>How far a job is, as <c>GET /jobs/{id}</c> tells it.</summary>
internal sealed record Progress(string Status, int Step, int? TotalSteps, double? SamplesPerSecond, double? EtaSeconds, double? Loss)
{
    private const int Width = 20;

    public static Progress Of(JsonNode job, double? loss)
    {
        var progress = job["progress"];
        return new(
            (string)job["status"]!, (int?)progress?["step"] ?? 0, (int?)progress?["total_steps"], (double?)progress?["samples_per_second"], (double?)progress?["eta_seconds"], loss);
    }

    public override string ToString()
    {
        if (TotalSteps is not > 0)
            return Status;
        var done = Width * Math.Min(Step, TotalSteps.Value) / TotalSteps.Value;
        var parts = new List<string> { $"[{new string('#', done)}{new string('.', Width - done)}]", $"step {Step}/{TotalSteps}" };
        if (Loss is not null)
            parts.Add(Invariant($"loss {Loss:0.0000}"));
        if (SamplesPerSecond is not null)
            parts.Add(Invariant($"{SamplesPerSecond:0} samples/s"));
        if (EtaSeconds is not null)
            parts.Add(Invariant($"{TimeSpan.FromSeconds(Math.Round(EtaSeconds.Value)):c} left"));
        return string.Join("  ", parts);
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

/// <summary>One line that is drawn over and over on a terminal; elsewhere a line every few seconds.</summary>
internal sealed class ProgressBar(TextWriter output, bool live)
{
    private const string Erase = "\r\u001b[2K";
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);

    private string _shown = "";
    private long _shownAt;

    public void Show(Progress progress)
    {
        var line = progress.ToString();
        if (live)
            output.Write($"{Erase}{line}");
        else if (line != _shown && (_shownAt == 0 || TimeProvider.System.GetElapsedTime(_shownAt) >= Pause))
            output.WriteLine(line);
        else
            return;
        (_shown, _shownAt) = (line, TimeProvider.System.GetTimestamp());
    }

    /// <summary>A line of its own that stays.</summary>
    public void Note(string line) => output.WriteLine(live ? $"{Erase}{line}" : line);

    public void End()
    {
        if (live)
            output.Write(Erase);
    }
}
