namespace FineTuneService.Storage;

/// <summary>A write that somebody asked for, whether it was done or refused.</summary>
public sealed class AuditEntry
{
    public long Id { get; init; }
    public required DateTimeOffset Time { get; init; }
    public required string ProjectId { get; init; }

    /// <summary>The key's id, or the token's subject.</summary>
    public required string Caller { get; init; }
    public required string Method { get; init; }

    /// <summary>Such as <c>/jobs/{id}/cancel</c>.</summary>
    public required string Route { get; init; }
    public required string Path { get; init; }
    public required int Status { get; init; }
    public string? Address { get; init; }
    public required string TraceId { get; init; }
}
