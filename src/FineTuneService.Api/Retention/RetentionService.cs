using System.Data.Common;
using FineTuneService.Api.Datasets;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Retention;

public static class RetentionServices
{
    public static IServiceCollection AddRetention(this IServiceCollection services)
    {
        services.AddOptions<RetentionSettings>().BindConfiguration("Retention");
        return services.AddHostedService<RetentionService>();
    }
}

/// <summary>Deletes what has been kept for long enough. Any number of APIs may do so at once: what another has taken is not there.</summary>
public sealed class RetentionService(
    IDbContextFactory<FineTuneDb> databases, JobDeletion deletion, DatasetFiles datasets, IOptions<RetentionSettings> options, TimeProvider clock, ILogger<RetentionService> log)
    : PeriodicService(options.Value.Interval, clock)
{
    private readonly RetentionSettings _settings = options.Value;
    private readonly TimeProvider _clock = clock;

    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            await Apply(cancel);
        }
        catch (Exception error) when (error is IOException or ArtifactsAwayException || error.GetBaseException() is DbException)
        {
            log.LogWarning("What was kept for long enough could not be deleted; it will be tried again: {Error}", error.GetBaseException().Message);
        }
    }

    public async Task Apply(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = _clock.GetUtcNow();
        var ended = db.Jobs.AsNoTracking().Where(job => JobTransitions.Ended.Contains(job.Status));
        if (now - _settings.Jobs is { } jobsBefore)
            foreach (var id in await ended.Where(job => job.FinishedAt < jobsBefore).Select(job => job.Id).ToListAsync(cancel))
                if (await JobUsers.Of(db, id, cancel) is null && await deletion.Delete(id, cancel))
                    log.LogInformation("Job {JobId} was kept for long enough, and is deleted", id);
        if (now - _settings.Checkpoints is { } checkpointsBefore)
            foreach (var id in await ended.Where(job => job.FinishedAt < checkpointsBefore && db.Checkpoints.Any(row => row.JobId == job.Id && row.DeletedAt == null)).Select(job => job.Id).ToListAsync(cancel))
                if (await JobUsers.Of(db, id, cancel) is null)
                    await deletion.DeleteCheckpoints(id, step: null, cancel);
        if (now - _settings.Datasets is { } datasetsBefore)
            await DeleteDatasets(db, datasetsBefore, cancel);
        var keysBefore = now - _settings.IdempotencyKeys;
        await db.IdempotentRequests.Where(row => row.StartedAt < keysBefore).ExecuteDeleteAsync(cancel);
        if (now - _settings.Audit is { } auditBefore)
            await db.Audit.Where(entry => entry.Time < auditBefore).ExecuteDeleteAsync(cancel);
        await deletion.SweepFolders(cancel);
    }

    private async Task DeleteDatasets(FineTuneDb db, DateTimeOffset before, CancellationToken cancel)
    {
        var unused = await db.Datasets.FromSqlRaw(
            "SELECT * FROM finetune.datasets AS dataset WHERE created_at < {0}"
            + " AND NOT EXISTS (SELECT FROM finetune.jobs WHERE jsonb_exists(" + NamedDatasets.Sql + ", dataset.id))"
            + " AND NOT EXISTS (SELECT FROM finetune.sweep_trials WHERE job_id IS NULL AND jsonb_exists(" + NamedDatasets.Sql + ", dataset.id))",
            before).AsNoTracking().Select(dataset => dataset.Id).ToListAsync(cancel);
        foreach (var id in unused) // Until now: one may have been deleted or be used meanwhile.
            await DeleteDataset.TryDelete(id, db, datasets, cancel);
    }
}
