using System.ComponentModel.DataAnnotations;
using FineTuneService.Storage;

namespace FineTuneService.Api.Projects;

/// <summary>Owns datasets, jobs, sweeps and webhooks.</summary>
/// <param name="Limits">Absent where there is none.</param>
public sealed record ProjectView(string Id, string Name, ProjectLimits Limits, DateTimeOffset CreatedAt)
{
    public static ProjectView From(Project row) =>
        new(row.Id, row.Name, new() { MaxStorageBytes = row.MaxStorageBytes, MaxQueuedJobs = row.MaxQueuedJobs, MaxRunningJobs = row.MaxRunningJobs, MaxDeviceHours = row.MaxDeviceHours }, row.CreatedAt);
}

/// <summary>What a project may take; what is absent has no limit.</summary>
public sealed record ProjectLimits
{
    /// <summary>Bytes of its datasets and kept checkpoints together.</summary>
    [Range(0.0, 1e18)]
    public long? MaxStorageBytes { get; init; }

    /// <summary>Jobs that wait; more are refused with 429.</summary>
    [Range(0, 1_000_000)]
    public int? MaxQueuedJobs { get; init; }

    /// <summary>Jobs that run at the same time; more wait.</summary>
    [Range(0, 1_000_000)]
    public int? MaxRunningJobs { get; init; }

    /// <summary>Hours of devices within 30 days; after them jobs are refused with 429.</summary>
    [Range(0.0, 1e9)]
    public double? MaxDeviceHours { get; init; }
}

/// <summary>The body of <c>POST /projects</c>.</summary>
public sealed record ProjectDraft
{
    /// <summary>A name for people.</summary>
    [Length(1, 128)]
    public required string Name { get; init; }
    public ProjectLimits Limits { get; init; } = new();
}

/// <summary>The body of <c>PATCH /projects/{id}</c>: what is absent stays.</summary>
public sealed record ProjectChange
{
    /// <summary>A name for people.</summary>
    [Length(1, 128)]
    public string? Name { get; init; }

    /// <summary>All limits anew: one that is absent here is lifted.</summary>
    public ProjectLimits? Limits { get; init; }
}
