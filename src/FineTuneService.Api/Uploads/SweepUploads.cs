using System.Data.Common;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Uploads;

/// <summary>Ends uploads whose time is over, and removes the parts of all that have ended: also those that a process left behind when it died.</summary>
public sealed class SweepUploads(IDbContextFactory<FineTuneDb> databases, StorageSettings storage, TimeProvider clock, ILogger<SweepUploads> log) : PeriodicService(TimeSpan.FromMinutes(1), clock)
{
    private readonly TimeProvider _clock = clock;

    /// <summary>One round of it.</summary>
    public async Task Sweep(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = _clock.GetUtcNow();
        await db.Uploads.Where(upload => upload.Status == UploadStatus.Pending && upload.ExpiresAt <= now).ExecuteUpdateAsync(upload => upload.SetProperty(row => row.Status, UploadStatus.Expired), cancel);
        if (!Directory.Exists(storage.UploadsDirectory))
            return;
        var folders = Directory.EnumerateDirectories(storage.UploadsDirectory).Select(folder => Path.GetFileName(folder)).ToList();
        var pending = await db.Uploads.Where(upload => upload.Status == UploadStatus.Pending && folders.Contains(upload.Id)).Select(upload => upload.Id).ToListAsync(cancel);
        foreach (var ended in folders.Except(pending))
            new UploadFolder(storage, ended).Delete();
    }

    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            await Sweep(cancel);
        }
        catch (Exception error) when (error.GetBaseException() is DbException or TimeoutException or IOException)
        {
            log.LogWarning("Ended uploads could not be swept: {Error}", error.GetBaseException().Message);
        }
    }
}
