using FineTuneService.Contracts;

namespace FineTuneService.Worker;

/// <summary>Notices when a trainer that lives does nothing that shows: no event, no step, no batch of an evaluation. Says so once, and once that it goes on.</summary>
internal sealed class StallWatch(RunFolder folder, TrainerProcess process, EventPump pump, TimeSpan patience, TimeProvider clock)
{
    public const string Code = "stalled";

    private (DateTime, long) _seen;
    private DateTimeOffset _since = clock.GetUtcNow();
    private (DateTimeOffset At, TimeSpan ProcessorTime)? _half;
    private bool _isStalled;

    /// <returns>What people should know; null: nothing new.</returns>
    public (string Level, string Message)? Look()
    {
        var now = clock.GetUtcNow();
        var sign = (File.GetLastWriteTimeUtc(folder.Heartbeat), File.Exists(folder.Events) ? new FileInfo(folder.Events).Length : 0);
        var silence = now - _since;
        if (sign != _seen)
        {
            var wasStalled = _isStalled;
            (_seen, _since, _half, _isStalled) = (sign, now, null, false);
            return wasStalled ? ("info", $"The trainer goes on after {Minutes(silence)} minutes without a sign.") : null;
        }
        if (silence >= patience / 2)
            _half ??= (now, process.ProcessorTime); // What it has computed since the last sign would count as well what it still did before it stood still.
        if (_isStalled || silence < patience || _half is not { } half || now <= half.At)
            return null;
        _isStalled = true;
        var cores = (process.ProcessorTime - half.ProcessorTime) / (now - half.At);
        return ("warning", FormattableString.Invariant($"No step and no event for {Minutes(silence)} minutes, since step {pump.Last?.Step ?? 0}. The trainer lives, and {(cores < 0.01 ? "computes nothing: it waits for something" : $"keeps {cores:F1} processor cores busy")}."));
    }

    private static string Minutes(TimeSpan time) => time.TotalMinutes.ToString("0.#", System.Globalization.CultureInfo.InvariantCulture);
}
