using FineTuneService.Contracts;
using FineTuneService.Storage.Artifacts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Takes an ended job away: rows first, in one transaction, then the files, here and in the artifact store. If we die in between, <see cref="SweepFolders"/> finds those whose job is gone.</summary>
public sealed class JobDeletion(IDbContextFactory<FineTuneDb> databases, StorageSettings storage, ArtifactStore artifacts, CheckpointFiles files, OrphanedArtifacts orphans, TimeProvider clock)
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
        await db.MetricRollups.Where(row => row.JobId == jobId).ExecuteDeleteAsync(cancel);
        await db.Events.Where(row => row.JobId == jobId).ExecuteDeleteAsync(cancel);
        await db.Checkpoints.Where(row => row.JobId == jobId).ExecuteDeleteAsync(cancel);
        await db.WebhookDeliveries.Where(row => row.JobId == jobId).ExecuteDeleteAsync(cancel);
        db.Jobs.Remove(job);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        RemoveFolder(storage.Run(jobId).Path);
        RemoveFolder(files.Run(jobId).Path);
        await RemoveStored($"runs/{jobId}/", cancel);
        return true;
    }

    /// <summary>Removes the weights of an ended job and keeps what is known of it.</summary>
    /// <param name="step">Of this checkpoint alone; null: of all.</param>
    public async Task DeleteCheckpoints(string jobId, int? step, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow();
        await db.Checkpoints.Where(row => row.JobId == jobId && row.DeletedAt == null && (step == null || row.Step == step))
            .ExecuteUpdateAsync(row => row.SetProperty(checkpoint => checkpoint.DeletedAt, now).SetProperty(checkpoint => checkpoint.Best, false).SetProperty(checkpoint => checkpoint.Final, false), cancel);
        var (run, cached) = (storage.Run(jobId), files.Run(jobId));
        if (step is { } one)
        {
            var name = Path.GetFileName(run.Checkpoint(one));
            RemoveFolder(run.Checkpoint(one));
            foreach (var folder in new[] { cached.Checkpoints, cached.Merged }.Where(Directory.Exists).SelectMany(parent => Directory.EnumerateDirectories(parent, $"{name}-*")).ToList())
                RemoveFolder(folder);
            await RemoveStored($"runs/{jobId}/checkpoints/{name}/", cancel);
            return;
        }
        RemoveFolder(run.Checkpoints);
        RemoveFolder(cached.Checkpoints);
        RemoveFolder(cached.Merged);
        await RemoveStored($"runs/{jobId}/checkpoints/", cancel);
    }

    /// <summary>Removes folders of runs whose jobs are gone, and what the artifact store has without a row.</summary>
    public async Task SweepFolders(CancellationToken cancel)
    {
        await orphans.Sweep(cancel);
        var runs = new DirectoryInfo(Path.Combine(storage.DataDirectory, "runs"));
        if (!runs.Exists)
            return;
        await using var db = await databases.CreateDbContextAsync(cancel);
        foreach (var folder in runs.EnumerateDirectories("job_*"))
            if (clock.GetUtcNow() - folder.LastWriteTimeUtc > Abandoned && !await db.Jobs.AnyAsync(job => job.Id == folder.Name, cancel))
                RemoveFolder(folder.FullName);
    }

    private async Task RemoveStored(string prefix, CancellationToken cancel)
    {
        try
        {
            await artifacts.Delete(prefix, cancel);
        }
        catch (ArtifactsAwayException)
        {
            // What stays has no row, and is found when the store is back.
        }
    }

    private static void RemoveFolder(string path)
    {
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
    }
}
