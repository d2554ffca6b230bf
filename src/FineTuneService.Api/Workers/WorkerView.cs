namespace FineTuneService.Api.Workers;

/// <summary>Who works, and what waits.</summary>
public sealed record WorkersView(IReadOnlyList<WorkerView> Workers, IReadOnlyList<QueueView> Queues);

/// <summary>A worker process as it tells of itself every few seconds.</summary>
public sealed record WorkerView
{
    /// <summary>Machine and process.</summary>
    public required string Id { get; init; }
    public required string Machine { get; init; }
    public required WorkerState State { get; init; }

    /// <summary>What jobs may require of it, such as <c>gpu</c>.</summary>
    public required IReadOnlyList<string> Capabilities { get; init; }

    /// <summary>Jobs that it runs at the same time at most.</summary>
    public required int Slots { get; init; }

    /// <summary>Jobs that it runs, of whatever project.</summary>
    public required int Busy { get; init; }

    /// <summary>Those of them that are yours.</summary>
    public required IReadOnlyList<string> Jobs { get; init; }
    public required string Version { get; init; }
    public required DateTimeOffset StartedAt { get; init; }
    public required DateTimeOffset HeartbeatAt { get; init; }
}

public enum WorkerState
{
    /// <summary>It takes jobs.</summary>
    Alive,

    /// <summary>It stops: it lets its runs write their checkpoints, and takes nothing more.</summary>
    Draining,

    /// <summary>It was not heard of for a while, and its jobs go to others.</summary>
    Silent,
}
