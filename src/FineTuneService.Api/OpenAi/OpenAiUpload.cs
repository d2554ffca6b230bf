using FineTuneService.Storage;

namespace FineTuneService.Api.OpenAi;

/// <summary>A file that arrives in parts.</summary>
public sealed record OpenAiUpload
{
    public required string Id { get; init; }
    public string Object => "upload";

    /// <summary>What all parts together must have.</summary>
    public required long Bytes { get; init; }

    /// <summary>Unix time.</summary>
    public required long CreatedAt { get; init; }

    /// <summary>Unix time, an hour later.</summary>
    public required long ExpiresAt { get; init; }
    public required string Filename { get; init; }
    public required string Purpose { get; init; }
    public required UploadStatus Status { get; init; }

    /// <summary>Once it is completed.</summary>
    public OpenAiFile? File { get; init; }

    public static OpenAiUpload From(Upload row, OpenAiFile? file = null) => new()
    {
        Id = row.Id,
        Bytes = row.Bytes,
        CreatedAt = row.CreatedAt.ToUnixTimeSeconds(),
        ExpiresAt = row.ExpiresAt.ToUnixTimeSeconds(),
        Filename = row.FileName,
        Purpose = row.Purpose,
        Status = file is null ? row.Status : UploadStatus.Completed,
        File = file,
    };
}

/// <summary>A part of an upload.</summary>
public sealed record OpenAiUploadPart(string Id, long CreatedAt, string UploadId)
{
    public string Object => "upload.part";
}
