namespace FineTuneService.Storage;

/// <summary>A worker process as it tells of itself.</summary>
public sealed class WorkerHost
{
    /// <summary>Machine and process.</summary>
    public required string Id { get; init; }
    public required string Machine { get; init; }
    public required string[] Capabilities { get; set; }
    public required int Slots { get; set; }
    public int Busy { get; set; }

    /// <summary>It finishes what it can and takes nothing more.</summary>
    public bool Draining { get; set; }
    public required string Version { get; init; }
    public required DateTimeOffset StartedAt { get; init; }
    public required DateTimeOffset HeartbeatAt { get; set; }
}
