using FineTuneService.Api.Problems;
using FineTuneService.Api.Projects;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training.Data;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Uploads;

/// <summary>Uploads that arrive in parts, from their first request to their last.</summary>
internal static class PendingUploads
{
    /// <summary>Refuses an upload that could not be completed.</summary>
    /// <param name="pointer">Where the request has the file's name, whose ending tells the format.</param>
    /// <param name="most">Bytes of a dataset.</param>
    /// <exception cref="FaultException">For the name.</exception>
    /// <exception cref="ProblemException">413 when the file is too large.</exception>
    public static async Task CheckUpload(this FineTuneDb db, string fileName, string pointer, long bytes, long most, CancellationToken cancel)
    {
        try
        {
            DataFile.FormatOf(fileName);
        }
        catch (FaultException error)
        {
            throw new FaultException([.. error.Faults.Select(fault => fault with { Pointer = pointer })]);
        }
        await db.CheckRoom(bytes, most, cancel);
    }

    /// <exception cref="ProblemException">413 when a file of so many bytes is too large.</exception>
    public static async Task CheckRoom(this FineTuneDb db, long bytes, long most, CancellationToken cancel)
    {
        if (await Quotas.StorageLeft(db, most, cancel) is var left && bytes > left)
            throw new ProblemException(StatusCodes.Status413PayloadTooLarge, $"The file is larger than {left} bytes.");
    }

    /// <param name="purpose">Only one that was begun for this.</param>
    /// <exception cref="ProblemException">404.</exception>
    public static async Task<Upload> FindUpload(this FineTuneDb db, string id, string purpose, TimeProvider clock, CancellationToken cancel)
    {
        var upload = await db.Uploads.AsNoTracking().FirstOrDefaultAsync(row => row.Id == id && row.Purpose == purpose, cancel) ?? throw ProblemException.NotFound("upload", id);
        if (upload.Status == UploadStatus.Pending && upload.ExpiresAt <= clock.GetUtcNow())
            upload.Status = UploadStatus.Expired; // The sweep will write it down.
        return upload;
    }

    /// <inheritdoc cref="FindUpload"/>
    /// <exception cref="ProblemException">404, or 409 when it no longer takes parts.</exception>
    public static async Task<Upload> FindPendingUpload(this FineTuneDb db, string id, string purpose, TimeProvider clock, CancellationToken cancel) =>
        await db.FindUpload(id, purpose, clock, cancel) is var upload && upload.Status == UploadStatus.Pending
            ? upload
            : throw ProblemException.Conflict($"The upload is {upload.Status.ToString().ToLowerInvariant()}. Create another.");

    /// <summary>Ends a pending upload, once.</summary>
    /// <exception cref="ProblemException">409 when another request was faster.</exception>
    public static async Task EndUpload(this FineTuneDb db, Upload upload, UploadStatus status, string? datasetId, CancellationToken cancel)
    {
        if (await db.Uploads.Where(row => row.Id == upload.Id && row.Status == UploadStatus.Pending).ExecuteUpdateAsync(row => row.SetProperty(one => one.Status, status).SetProperty(one => one.DatasetId, datasetId), cancel) == 0)
            throw ProblemException.Conflict("Another request has ended this upload meanwhile.");
    }
}
