namespace FineTuneService.Worker;

/// <summary>The section <c>Worker</c> of appsettings.json.</summary>
public sealed class WorkerSettings
{
    /// <summary>Runs at the same time: one a device.</summary>
    public int Slots { get; init; } = 1;

    /// <summary>What this worker has, by names that jobs may require, such as <c>gpu</c>: each is a queue, served before the jobs that require nothing. Letters, digits, <c>-</c> and <c>_</c>.</summary>
    public IReadOnlyList<string> Capabilities { get; init; } = [];

    /// <summary>Attempts that may be lost, one after another, before a job counts as failed.</summary>
    public int MaxAttempts { get; init; } = 3;

    /// <summary>How often a run's worker tells that it is alive, and hears whether the run shall end.</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Silence after which a worker counts as dead. Shorter than Hangfire's lease, so that whoever gets the job next may take it.</summary>
    public TimeSpan HeartbeatLease { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a trainer may take to write its checkpoint when it is asked to stop.</summary>
    public TimeSpan StopPatience { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The most memory that a trainer may take from the host, such as 8GiB; a run that needs more helps itself with smaller micro-batches. Null: no limit.</summary>
    public string? MemoryLimit { get; init; }

    /// <summary>How long a trainer may be silent, with neither an event nor a step, until people are told.</summary>
    public TimeSpan StallPatience { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Wait before an attempt that follows a lost one.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Wait before an attempt that follows one for which this machine's disk had no room. Such attempts are not counted.</summary>
    public TimeSpan FullDiskDelay { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Folder for tokenized datasets, which runs share; or <c>off</c>. Default: <c>tokenized</c> in the data directory.</summary>
    public string? DatasetCache { get; init; }

    /// <summary>Bytes that it may have; what was used longest ago goes first.</summary>
    public long DatasetCacheBytes { get; init; } = 20L << 30;
}
