using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Takes an ended job away: rows first, in one transaction, then the folder. If we die in between, <see cref="SweepFolders"/> finds a folder whose job is gone.</summary>
public sealed class JobDeletion(IDbContextFactory<FineTuneDb> databases, StorageSettings storage, TimeProvider clock)
{
    private static readonly TimeSpan Abandoned = TimeSpan.FromHours(1);

    /// <returns>False when there is none, or it has not ended.</returns>
    public async Task<bool> Delete(string jobId, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await db.LockJob(jobId, cancel) is not { } job || !job.Status.IsTerminal())
            return false;
        await db.Metrics.Where(row => row.JobId == jobId).ExecuteDeleteAsync(cancel);
        await db.Events.Where(row => row.JobId == jobId).ExecuteDeleteAsync(cancel);
        await db.Checkpoints.Where(row => row.JobId == jobId).ExecuteDeleteAsync(cancel);
        await db.WebhookDeliveries.Where(row => row.JobId == jobId).ExecuteDeleteAsync(cancel);
        db.Jobs.Remove(job);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        RemoveFolder(storage.Run(jobId).Path);
        return true;
    }

    /// <summary>Removes the weights of an ended job and keeps what is known of it.</summary>
    public async Task DeleteCheckpoints(string jobId, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow();
        await db.Checkpoints.Where(row => row.JobId == jobId && row.DeletedAt == null)
            .ExecuteUpdateAsync(row => row.SetProperty(checkpoint => checkpoint.DeletedAt, now).SetProperty(checkpoint => checkpoint.Best, false).SetProperty(checkpoint => checkpoint.Final, false), cancel);
        RemoveFolder(storage.Run(jobId).Checkpoints);
        RemoveFolder(storage.Run(jobId).Merged);
    }

    /// <summary>Removes folders of runs whose jobs are gone.</summary>
    public async Task SweepFolders(CancellationToken cancel)
    {
        var runs = new DirectoryInfo(Path.Combine(storage.DataDirectory, "runs"));
        if (!runs.Exists)
            return;
        await using var db = await databases.CreateDbContextAsync(cancel);
        foreach (var folder in runs.EnumerateDirectories("job_*"))
            if (clock.GetUtcNow() - folder.LastWriteTimeUtc > Abandoned && !await db.Jobs.AnyAsync(job => job.Id == folder.Name, cancel))
                RemoveFolder(folder.FullName);
    }

    private static void RemoveFolder(string path)
    {
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
    }
}
