using FineTuneService.Contracts;

namespace FineTuneService.Training;

/// <summary>Tells whoever supervises a run that it moves, by a file's time of change: cheaper than an event, and there between two of them.</summary>
public sealed class Heartbeat(RunFolder folder, TimeProvider clock)
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private DateTimeOffset _last;

    /// <summary>After a step, or a batch.</summary>
    public void Beat()
    {
        var now = clock.GetUtcNow();
        if (now - _last < Pause)
            return;
        _last = now;
        try
        {
            if (!File.Exists(folder.Heartbeat))
                File.WriteAllBytes(folder.Heartbeat, []);
            File.SetLastWriteTimeUtc(folder.Heartbeat, now.UtcDateTime);
        }
        catch (Exception error) when (FullDisk.Is(error))
        {
            // There will be, another second.
        }
    }
}
