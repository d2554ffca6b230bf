namespace FineTuneService.Storage;

public enum PreparationKind { Report, Cleaning }

public enum PreparationStatus { Queued, Running, Succeeded, Failed }

/// <summary>A look at a dataset, or the making of a cleaned one: work of a child process, for which an API host takes the row.</summary>
public sealed class Preparation
{
    public required string Id { get; init; }
    public required string ProjectId { get; init; }

    /// <summary>The training rows; with it this row goes.</summary>
    public required string DatasetId { get; init; }
    public string? ValidationId { get; init; }
    public string? TestId { get; init; }
    public required PreparationKind Kind { get; init; }
    public PreparationStatus Status { get; set; }

    /// <summary>What was posted, as JSON.</summary>
    public required string Request { get; init; }

    /// <summary>What is being done, and how far it is, in [0, 1].</summary>
    public string? Phase { get; set; }
    public double Progress { get; set; }

    /// <summary>Why it has failed, and what the user can mend: a JSON array of faults.</summary>
    public string? Reason { get; set; }
    public string? Faults { get; set; }

    /// <summary>What came of it, as JSON.</summary>
    public string? Result { get; set; }

    /// <summary>Counts the hosts that took it; a stale one's writes are refused by it.</summary>
    public int Attempt { get; set; }
    public DateTimeOffset? HeartbeatAt { get; set; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? StartedAt { get; set; }
    public DateTimeOffset? FinishedAt { get; set; }
}
