namespace FineTuneService.Storage;

/// <summary>A request that came with an <c>Idempotency-Key</c>, and its answer once there is one.</summary>
public sealed class IdempotentRequest
{
    public required string ProjectId { get; init; }
    public required string Key { get; init; }

    /// <summary>Hash of method, path and body: the same key with another one is a mistake of the client.</summary>
    public required string Fingerprint { get; set; }

    /// <summary>When the request that is under way began; one that never ended is forgotten after a while.</summary>
    public required DateTimeOffset StartedAt { get; set; }

    /// <summary>Null while the first request is under way.</summary>
    public int? Status { get; set; }
    public string? ContentType { get; set; }
    public string? Location { get; set; }
    public byte[]? Body { get; set; }
}
