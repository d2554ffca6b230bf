namespace FineTuneService.Storage;

/// <summary>Owns datasets, jobs, sweeps and webhooks. A key belongs to one project and sees nothing of another. The limits are null where there is none.</summary>
public sealed class Project
{
    /// <summary>The project of everything that was there before projects were, and of the first key.</summary>
    public const string Default = "proj_default";

    public required string Id { get; init; }
    public required string Name { get; set; }
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Bytes of its datasets and kept checkpoints together.</summary>
    public long? MaxStorageBytes { get; set; }

    /// <summary>Jobs that wait; more are refused.</summary>
    public int? MaxQueuedJobs { get; set; }

    /// <summary>Jobs that run at the same time; more wait.</summary>
    public int? MaxRunningJobs { get; set; }

    /// <summary>Hours of devices within the last 30 days.</summary>
    public double? MaxDeviceHours { get; set; }
}
