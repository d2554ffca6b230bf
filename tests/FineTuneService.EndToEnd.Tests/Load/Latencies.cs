using System.Collections.Concurrent;

namespace FineTuneService.EndToEnd.Tests.Load;

/// <summary>How long answers took, from any thread.</summary>
internal sealed class Latencies(string of)
{
    private readonly ConcurrentQueue<TimeSpan> _all = [];

    private int _failed;

    public int Count => _all.Count;

    public int Failed => _failed;

    /// <summary>The first one's, in words.</summary>
    public string? Failure { get; private set; }

    public void Add(TimeSpan took) => _all.Enqueue(took);

    public void Fail(Exception error)
    {
        Failure ??= error.Message;
        Interlocked.Increment(ref _failed);
    }

    /// <summary>The least that was enough for so large a part of them.</summary>
    public TimeSpan Quantile(double part) => _all.Order().ElementAtOrDefault(Math.Max(0, (int)Math.Ceiling(part * _all.Count) - 1));

    public override string ToString() => FormattableString.Invariant(
        $"{of,-26} {Count,8:N0}   p50 {Quantile(0.5).TotalMilliseconds,7:F1}   p90 {Quantile(0.9).TotalMilliseconds,7:F1}   p99 {Quantile(0.99).TotalMilliseconds,7:F1}   max {Quantile(1).TotalMilliseconds,7:F1} ms   {Failed} failed {Failure}");
}
