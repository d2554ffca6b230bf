namespace FineTuneService.Storage;

/// <summary>
/// How long the others may have been silent before they count as dead. While the database is away nobody can be heard: for a lease after it has come back, the time that it was away does not count,
/// or the first worker to find it again would take the runs of those who are about to.
/// </summary>
/// <param name="lease">Silence after which a worker counts as dead where the database is there.</param>
public sealed class WorkerSilence(TimeSpan lease, TimeProvider clock)
{
    private readonly Lock _lock = new();
    private DateTimeOffset _heard = DateTimeOffset.UnixEpoch; // Whoever has never heard the database knows of nobody's death.
    private DateTimeOffset? _awaySince, _backAt;

    public TimeSpan Longest
    {
        get
        {
            lock (_lock)
                return _awaySince is { } since ? lease + (clock.GetUtcNow() - since) : lease;
        }
    }

    public void DatabaseAnswers()
    {
        lock (_lock)
        {
            var now = clock.GetUtcNow();
            if (_awaySince is null)
                _heard = now;
            else if ((_backAt ??= now) + lease < now)
                (_awaySince, _backAt, _heard) = (null, null, now);
        }
    }

    public void DatabaseIsAway()
    {
        lock (_lock)
            (_awaySince, _backAt) = (_awaySince ?? _heard, null);
    }
}
