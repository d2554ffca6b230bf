namespace FineTuneService.Storage;

/// <summary>A file that arrives in parts and becomes a dataset when it is completed.</summary>
public sealed class Upload
{
    public required string Id { get; init; }
    public required string ProjectId { get; init; }
    public required string FileName { get; init; }
    public required string Purpose { get; init; }
    public required string MimeType { get; init; }

    /// <summary>What all parts together must have.</summary>
    public required long Bytes { get; init; }
    public UploadStatus Status { get; set; }

    /// <summary>Once it is completed.</summary>
    public string? DatasetId { get; set; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset ExpiresAt { get; init; }
}

public enum UploadStatus { Pending, Completed, Cancelled, Expired }

public sealed class UploadPart
{
    public required string Id { get; init; }
    public required string UploadId { get; init; }
    public required long Bytes { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}
