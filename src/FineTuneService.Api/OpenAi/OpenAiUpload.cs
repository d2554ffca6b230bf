using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

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

internal static class FindUpload
{
    /// <exception cref="ProblemException">404, or 409 when it no longer takes parts.</exception>
    public static async Task<Upload> FindPendingUpload(this FineTuneDb db, string id, TimeProvider clock, CancellationToken cancel)
    {
        var upload = await db.Uploads.AsNoTracking().FirstOrDefaultAsync(row => row.Id == id, cancel) ?? throw ProblemException.NotFound("upload", id);
        var status = upload.Status == UploadStatus.Pending && upload.ExpiresAt <= clock.GetUtcNow() ? UploadStatus.Expired : upload.Status;
        return status == UploadStatus.Pending ? upload : throw ProblemException.Conflict($"The upload is {status.ToString().ToLowerInvariant()}. Create another.");
    }

    /// <summary>Ends a pending upload, once.</summary>
    /// <exception cref="ProblemException">409 when another request was faster.</exception>
    public static async Task EndUpload(this FineTuneDb db, Upload upload, UploadStatus status, string? datasetId, CancellationToken cancel)
    {
        if (await db.Uploads.Where(row => row.Id == upload.Id && row.Status == UploadStatus.Pending).ExecuteUpdateAsync(row => row.SetProperty(one => one.Status, status).SetProperty(one => one.DatasetId, datasetId), cancel) == 0)
            throw ProblemException.Conflict("Another request has ended this upload meanwhile.");
    }
}
