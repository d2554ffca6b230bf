using FineTuneService.Contracts;

namespace FineTuneService.Storage;

/// <summary>What a user posted and how far it has come. Progress columns are a projection of the run's event log.</summary>
public sealed class Job
{
    public required string Id { get; init; }
    public string ProjectId { get; init; } = Project.Default;
    public string? Name { get; set; }
    public JobStatus Status { get; set; }

    /// <summary>Counts what people see change: states and edits, not progress. The ETag.</summary>
    public int Version { get; set; }

    /// <summary>Why it is in this state, for people.</summary>
    public string? Reason { get; set; }

    /// <summary>The resolved <see cref="JobSpec"/> as JSON, as echoed to the client.</summary>
    public required string Spec { get; set; }

    /// <summary>JSON array of {pointer, value, reason}: what the server chose.</summary>
    public required string Resolutions { get; set; }

    /// <summary>JSON array of <see cref="Fault"/> when it failed for a cause the user can mend.</summary>
    public string? Faults { get; set; }

    /// <summary>JSON that another surface than ours wants to read again; null for a job of ours.</summary>
    public string? Client { get; init; }

    /// <summary>Those with more go first; within a priority, the project that runs least, then the oldest.</summary>
    public int Priority { get; set; }

    /// <summary>Jobs that must have succeeded before.</summary>
    public string[] DependsOn { get; init; } = [];

    /// <summary>A capability that its worker must have; null: any worker.</summary>
    public string? Requires { get; init; }

    /// <summary>It is not to be taken earlier.</summary>
    public DateTimeOffset? NotBefore { get; set; }

    /// <summary>When it fails unless it has ended.</summary>
    public DateTimeOffset? Deadline { get; set; }

    /// <summary>At so many <see cref="RunSeconds"/> it is stopped. A retry by hand gives it as many more as were posted.</summary>
    public double? MaxRuntimeSeconds { get; set; }

    /// <summary>Seconds that its attempts have run, all together; a job on several devices holds each for so long.</summary>
    public double RunSeconds { get; set; }

    /// <summary>Attempts that do not count among those that may be lost: of an earlier life, before it was retried by hand or resumed, and those that a full disk has ended.</summary>
    public int ForgivenAttempts { get; set; }

    /// <summary>Counts the workers that took it. Every write of a run carries it, so that a stale worker's writes are refused.</summary>
    public int Attempt { get; set; }
    public string? Worker { get; set; }
    public DateTimeOffset? HeartbeatAt { get; set; }
    public DateTimeOffset? CancelRequestedAt { get; set; }
    public DateTimeOffset? PauseRequestedAt { get; set; }
    public string? HangfireJobId { get; set; }

    /// <summary>The sweep that made it; null for one that was posted by itself.</summary>
    public string? SweepId { get; set; }

    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? StartedAt { get; set; }
    public DateTimeOffset? FinishedAt { get; set; }

    public int Step { get; set; }
    public int? TotalSteps { get; set; }
    public double Epoch { get; set; }
    public double? SamplesPerSecond { get; set; }
    public double? EtaSeconds { get; set; }

    /// <summary>What the last attempt was expected to need of memory, and the most that it has needed so far, in bytes.</summary>
    public long? ForecastMemoryBytes { get; set; }
    public long? PeakMemoryBytes { get; set; }
    public int? BestStep { get; set; }
    public string? BestMetricName { get; set; }
    public double? BestMetric { get; set; }

    /// <summary>How much of events.jsonl is in the database: the last seq, and the byte after it.</summary>
    public long LogSeq { get; set; }
    public long LogOffset { get; set; }
}

/// <summary>One number of one step; the key (job, seq, name) makes a replay harmless.</summary>
public sealed class Metric
{
    public required string JobId { get; init; }
    public required long Seq { get; init; }
    public required string Name { get; init; }
    public required int Step { get; init; }
    public required double Epoch { get; init; }
    public required double Value { get; init; }
    public required DateTimeOffset Time { get; init; }
}

/// <summary>
/// A change of state (made by API or worker) or a line of the run's log (made by the trainer), in the order in which clients read them.
/// <see cref="Id"/> is the database's, unique over all jobs, rising within a job: the SSE event id.
/// </summary>
public sealed class JobEvent
{
    public long Id { get; init; }
    public required string JobId { get; init; }

    /// <summary>The line's seq in events.jsonl; null for a change of state, and for a note of the worker.</summary>
    public long? Seq { get; init; }
    public required string Type { get; init; }
    public required DateTimeOffset Time { get; init; }

    /// <summary>The whole event as JSON.</summary>
    public required string Data { get; init; }
}

public sealed class Checkpoint
{
    public required string JobId { get; init; }
    public required int Step { get; init; }
    public required double Epoch { get; init; }

    /// <summary>Folder relative to the run's folder.</summary>
    public required string Path { get; set; }
    public required long Bytes { get; set; }
    public required bool Best { get; set; }
    public required bool Final { get; set; }

    /// <summary>JSON object of metric names and values.</summary>
    public required string Metrics { get; set; }
    public required DateTimeOffset CreatedAt { get; set; }
    public DateTimeOffset? DeletedAt { get; set; }
}
