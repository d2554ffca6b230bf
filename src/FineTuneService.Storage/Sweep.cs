using FineTuneService.Contracts;

namespace FineTuneService.Storage;

/// <summary>A space of job specifications, and how far its jobs have come.</summary>
public sealed class Sweep
{
    public required string Id { get; init; }
    public string ProjectId { get; init; } = Project.Default;
    public string? Name { get; init; }
    public SweepStatus Status { get; set; }

    /// <summary>Why it is in this state, for people.</summary>
    public string? Reason { get; set; }

    /// <summary>The <see cref="SweepSpec"/> as JSON, as it was posted.</summary>
    public required string Spec { get; init; }

    /// <summary>By which trials are compared, with <c>eval_</c>.</summary>
    public required string Metric { get; init; }
    public required bool GreaterIsBetter { get; init; }
    public required int MaxConcurrentJobs { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? FinishedAt { get; set; }
    public DateTimeOffset? CancelRequestedAt { get; set; }
}

/// <summary>One point of a sweep's space on one rung: a job, once its turn has come.</summary>
public sealed class SweepTrial
{
    public required string SweepId { get; init; }

    /// <summary>Which point, from 1; the same on every rung.</summary>
    public required int Number { get; init; }

    /// <summary>From 0; above only by successive halving.</summary>
    public required int Rung { get; init; }

    /// <summary>JSON object: pointers into the specification and what was put there.</summary>
    public required string Parameters { get; init; }

    /// <summary>As <see cref="Job.Spec"/>.</summary>
    public required string Spec { get; init; }

    /// <summary>As <see cref="Job.Resolutions"/>.</summary>
    public required string Resolutions { get; init; }

    /// <summary>Null while it waits.</summary>
    public string? JobId { get; set; }
}
