using FineTuneService.Training.Native;

namespace FineTuneService.Bench;

/// <summary>
/// The most memory that was in use since it was made, by a thread that looks some thousand times a second. It is what was asked of the allocator and not freed; memory that nobody has written to does not
/// count, as far as the system's own count of resident memory tells.
/// </summary>
internal sealed class MemorySampler : IDisposable
{
    private readonly long _inUse = HostMemory.BytesInUse(), _own = HostMemory.OwnBytes();
    private readonly Thread _thread;
    private readonly List<(string Name, long Bytes)> _peaks = [];
    private readonly Lock _lock = new();
    private volatile bool _stops;
    private long _peak;

    public MemorySampler()
    {
        _thread = new(Sample) { Priority = ThreadPriority.Highest, IsBackground = true };
        _thread.Start();
    }

    public long Samples { get; private set; }

    /// <summary>By phase, in their order.</summary>
    public IReadOnlyList<(string Name, long Bytes)> Peaks => _peaks;

    /// <summary>A phase ends.</summary>
    public void Mark(string? phase)
    {
        if (phase is null)
            return;
        lock (_lock)
        {
            _peaks.Add((phase, _peak));
            _peak = 0;
        }
    }

    /// <returns>The largest, and the phase that it belongs to.</returns>
    public (long Bytes, string Phase) Stop()
    {
        Dispose();
        Mark("end");
        var (name, bytes) = _peaks.MaxBy(peak => peak.Bytes);
        return (bytes, name);
    }

    public void Dispose()
    {
        _stops = true;
        _thread.Join();
    }

    private void Sample()
    {
        while (!_stops)
        {
            var now = Math.Min(HostMemory.BytesInUse() - _inUse, HostMemory.OwnBytes() - _own);
            lock (_lock)
                _peak = Math.Max(_peak, now);
            Samples++;
            Thread.Sleep(TimeSpan.FromMicroseconds(100));
        }
    }
}
