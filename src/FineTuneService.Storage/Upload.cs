namespace FineTuneService.Storage;

/// <summary>A file that arrives in parts and becomes a dataset when it is completed.</summary>
public sealed class Upload
{
    /// <summary>The purpose of those that were begun on our own surface.</summary>
    public const string ForDataset = "dataset";

    public required string Id { get; init; }
    public required string ProjectId { get; init; }

    /// <summary>Of one that was begun on our own surface the dataset's name, which may have folders.</summary>
    public required string FileName { get; init; }

    /// <summary>OpenAI's <c>fine-tune</c>, or <see cref="ForDataset"/>.</summary>
    public required string Purpose { get; init; }

    /// <summary>As OpenAI's clients give it.</summary>
    public required string MimeType { get; init; }

    /// <summary>Of the whole file, in hexadecimal, where it was told.</summary>
    public string? Sha256 { get; init; }

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
