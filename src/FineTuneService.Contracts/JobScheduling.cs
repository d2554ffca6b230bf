using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Contracts;

/// <summary>When and where a job runs.</summary>
public sealed record JobScheduling
{
    /// <summary>Jobs with more go first. Within a priority the project that runs least comes first, then the oldest job.</summary>
    [Range(-100, 100)]
    public int Priority { get; init; }

    /// <summary>false: the job is judged and kept, and waits for <c>POST /jobs/{id}/start</c>.</summary>
    public bool AutoStart { get; init; } = true;

    /// <summary>Ids of jobs that must succeed before; when one of them ends otherwise, this one fails.</summary>
    [MaxLength(64)]
    public IReadOnlyList<string>? DependsOn { get; init; }

    /// <summary>What the worker must have, such as <c>gpu</c> or <c>gpu-80gb</c>: a name of some worker's setting <c>Worker:Capabilities</c>. Absent: any worker.</summary>
    [RegularExpression("[a-z0-9_-]{1,40}")]
    public string? Requires { get; init; }

    /// <summary>Seconds of running, over all attempts since it was posted or last retried by hand, after which the job is stopped with a checkpoint and fails.</summary>
    [Range(1.0, 1e9)]
    public double? MaxRuntimeSeconds { get; init; }

    /// <summary>The time by which it must have ended, or it is stopped with a checkpoint and fails, running or not.</summary>
    public DateTimeOffset? Deadline { get; init; }
}
