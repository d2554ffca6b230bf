using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;

namespace FineTuneService.Api.Jobs;

/// <summary>A job as clients see it.</summary>
public sealed record JobView
{
    public required string Id { get; init; }
    public string? Name { get; init; }

    /// <summary>The id of the sweep that made it; absent for a job that was posted by itself.</summary>
    public string? Sweep { get; init; }
    public required JobStatus Status { get; init; }

    /// <summary>Why it is in this state.</summary>
    public string? Reason { get; init; }

    /// <summary>What you can mend, when it failed for such a cause.</summary>
    public IReadOnlyList<Fault>? Faults { get; init; }

    /// <summary>Changes with its state and with edits; <c>If-Match: "version"</c> makes a request hold for this version alone.</summary>
    public required int Version { get; init; }

    /// <summary>Those with more go first.</summary>
    public required int Priority { get; init; }

    /// <summary>Its place in the queue; only where one job is asked for, and while it waits for a worker.</summary>
    public QueuePlace? Queue { get; init; }

    /// <summary>Counts the workers that took it, from 1.</summary>
    public required int Attempt { get; init; }
    public required JobProgress Progress { get; init; }

    /// <summary>What the run was expected to need, and has needed; absent until its trainer has read model and data.</summary>
    public JobMemory? Memory { get; init; }

    /// <summary>The best evaluation so far.</summary>
    public BestMetric? Best { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? StartedAt { get; init; }
    public DateTimeOffset? FinishedAt { get; init; }
    public DateTimeOffset? CancelRequestedAt { get; init; }
    public DateTimeOffset? PauseRequestedAt { get; init; }

    /// <summary>The time by which it must have ended.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>Seconds that its attempts have run, all together.</summary>
    public required double RunSeconds { get; init; }

    /// <summary>The specification with every <c>auto</c> and default filled in.</summary>
    [JsonConverter(typeof(StoredJson<JobSpec>))]
    public required JobSpec Spec { get; init; }

    /// <summary>What the service chose, and why.</summary>
    [JsonConverter(typeof(StoredJson<IReadOnlyList<Resolution>>))]
    public required IReadOnlyList<Resolution> Resolutions { get; init; }

    public static JobView From(Job job) => new()
    {
        Id = job.Id,
        Name = job.Name,
        Sweep = job.SweepId,
        Status = job.Status,
        Reason = job.Reason,
        Faults = job.Faults is null ? null : StoredJson<Fault[]>.Parse(job.Faults),
        Attempt = job.Attempt,
        Progress = new()
        {
            Step = job.Step,
            TotalSteps = job.TotalSteps,
            Percent = job.TotalSteps > 0 ? Math.Round(100.0 * job.Step / job.TotalSteps.Value, 2) : 0,
            Epoch = job.Epoch,
            SamplesPerSecond = job.SamplesPerSecond,
            EtaSeconds = job.Status.IsTerminal() ? null : job.EtaSeconds,
        },
        Memory = job.ForecastMemoryBytes is null && job.PeakMemoryBytes is null ? null : new() { ForecastBytes = job.ForecastMemoryBytes, PeakBytes = job.PeakMemoryBytes },
        Best = job is { BestStep: { } step, BestMetricName: { } name, BestMetric: { } value } && double.IsFinite(value) ? new(name, value, step) : null, // JSON has no word for others.
        CreatedAt = job.CreatedAt,
        StartedAt = job.StartedAt,
        FinishedAt = job.FinishedAt,
        CancelRequestedAt = job.CancelRequestedAt,
        PauseRequestedAt = job.PauseRequestedAt,
        Deadline = job.Deadline,
        RunSeconds = job.RunSeconds,
        Version = job.Version,
        Priority = job.Priority,
        Spec = StoredJson<JobSpec>.Parse(job.Spec),
        Resolutions = StoredJson<IReadOnlyList<Resolution>>.Parse(job.Resolutions),
    };
}

public sealed record JobProgress
{
    /// <summary>Optimizer steps done.</summary>
    public required int Step { get; init; }

    /// <summary>Optimizer steps in all; absent until the trainer has read the data.</summary>
    public int? TotalSteps { get; init; }
    public required double Percent { get; init; }

    /// <summary>Epochs done, fractional.</summary>
    public required double Epoch { get; init; }
    public double? SamplesPerSecond { get; init; }

    /// <summary>Seconds to the end at the present pace.</summary>
    public double? EtaSeconds { get; init; }
}

public sealed record JobMemory
{
    /// <summary>Told by the trainer before the first step, from the lengths of the rows; see <c>POST /jobs/estimate</c>.</summary>
    public long? ForecastBytes { get; init; }

    /// <summary>The most that the trainer's process was seen with in this attempt; absent on a GPU, and before the first log line.</summary>
    public long? PeakBytes { get; init; }
}

/// <param name="Position">Jobs that are taken before it, as things stand.</param>
/// <param name="EstimatedStartAt">From the time that running jobs need yet and ended ones took; absent while no worker could take it, or nothing has ended.</param>
public sealed record QueuePlace(int Position, DateTimeOffset? EstimatedStartAt);

public sealed record BestMetric(string Name, double Value, int Step);
