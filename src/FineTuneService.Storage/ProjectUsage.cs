using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>What a project has taken.</summary>
/// <param name="StorageBytes">Of its datasets and kept checkpoints.</param>
/// <param name="DeviceHours">Of jobs that were started within the last 30 days.</param>
public sealed record ProjectUsage(long StorageBytes, int QueuedJobs, int RunningJobs, double DeviceHours)
{
    private static readonly TimeSpan Window = TimeSpan.FromDays(30);

    public static async Task<ProjectUsage> Of(FineTuneDb db, string projectId, DateTimeOffset now, CancellationToken cancel)
    {
        var jobs = db.Jobs.IgnoreQueryFilters().Where(job => job.ProjectId == projectId);
        var (queued, running) = (await jobs.CountAsync(job => job.Status == JobStatus.Queued || job.Status == JobStatus.Waiting || job.Status == JobStatus.Retrying, cancel), await jobs.CountAsync(job => job.Status == JobStatus.Preparing || job.Status == JobStatus.Running, cancel));
        return new(await Bytes(db, projectId, cancel), queued, running, await Hours(db, projectId, now, cancel));
    }

    public static async Task<long> Bytes(FineTuneDb db, string projectId, CancellationToken cancel) =>
        await db.Datasets.IgnoreQueryFilters().Where(dataset => dataset.ProjectId == projectId).SumAsync(dataset => dataset.Bytes, cancel)
        + await db.Checkpoints.Where(checkpoint => checkpoint.DeletedAt == null && db.Jobs.IgnoreQueryFilters().Any(job => job.Id == checkpoint.JobId && job.ProjectId == projectId)).SumAsync(checkpoint => checkpoint.Bytes, cancel);

    private static async Task<double> Hours(FineTuneDb db, string projectId, DateTimeOffset now, CancellationToken cancel)
    {
        var since = now - Window;
        return (await db.Database.SqlQuery<double>($"SELECT coalesce(sum(run_seconds * coalesce((spec->>'devices')::int, 1)), 0) / 3600 AS \"Value\" FROM finetune.jobs WHERE project_id = {projectId} AND started_at > {since}").ToListAsync(cancel))[0];
    }
}
