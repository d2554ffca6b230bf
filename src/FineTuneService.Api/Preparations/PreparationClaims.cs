using System.Text.Json;
using FineTuneService.Api.Datasets;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Preparations;

/// <summary>Wakes this process' <see cref="RunPreparations"/>; those of others look by themselves.</summary>
public sealed class PreparationSignal : IDisposable
{
    private readonly SemaphoreSlim _raised = new(0);

    public void Raise() => _raised.Release();

    public Task Wait(TimeSpan most, CancellationToken cancel) => _raised.WaitAsync(most, cancel);

    public void Dispose() => _raised.Dispose();
}

/// <summary>Shares the preparations among the hosts. Whoever claims one tells that it is alive; if it falls silent, another begins anew, and its own writes are refused.</summary>
public sealed class PreparationClaims(IDbContextFactory<FineTuneDb> databases, IOptions<DatasetSettings> settings, TimeProvider clock)
{
    /// <summary>The oldest that nobody has, now ours; null: there is none.</summary>
    public async Task<Preparation?> Take(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow();
        var taken = await db.Preparations.FromSql($"""
            UPDATE finetune.preparations SET attempt = attempt + 1, status = 'Running', heartbeat_at = {now}, started_at = coalesce(started_at, {now}), phase = NULL, progress = 0
            WHERE id = (
                SELECT id FROM finetune.preparations
                WHERE status = 'Queued' OR (status = 'Running' AND heartbeat_at < {now - settings.Value.PreparationLease})
                ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """).IgnoreQueryFilters().AsNoTracking().ToListAsync(cancel); // Of all projects; and nothing can be asked of what an update gives back.
        return taken.FirstOrDefault();
    }

    /// <returns>False when it is no longer ours: another has it, or somebody has deleted it.</returns>
    public async Task<bool> Tell(Preparation ours, DataProgress? progress, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await Ours(db, ours).ExecuteUpdateAsync(
            row => row.SetProperty(one => one.HeartbeatAt, clock.GetUtcNow()).SetProperty(one => one.Phase, progress == null ? null : progress.Phase).SetProperty(one => one.Progress, progress == null ? 0 : progress.Fraction),
            cancel) > 0;
    }

    /// <param name="made">Datasets that come to be with it.</param>
    /// <returns>False when it is no longer ours; then nothing has come to be.</returns>
    public async Task<bool> Succeed(Preparation ours, string result, IReadOnlyList<Dataset> made, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await End(db, ours, PreparationStatus.Succeeded, result, null, null, cancel) == 0)
            return false;
        foreach (var dataset in made)
            db.Add(dataset, settings.Value, clock);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return true;
    }

    public async Task Fail(Preparation ours, string reason, IReadOnlyList<Fault> faults, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await End(db, ours, PreparationStatus.Failed, null, reason, faults.Count == 0 ? null : JsonSerializer.Serialize(faults, SnakeCaseJson.Options), cancel);
    }

    private Task<int> End(FineTuneDb db, Preparation ours, PreparationStatus status, string? result, string? reason, string? faults, CancellationToken cancel) => Ours(db, ours).ExecuteUpdateAsync(
        row => row.SetProperty(one => one.Status, status).SetProperty(one => one.Result, result).SetProperty(one => one.Reason, reason).SetProperty(one => one.Faults, faults)
            .SetProperty(one => one.Phase, (string?)null).SetProperty(one => one.Progress, one => status == PreparationStatus.Succeeded ? 1 : one.Progress).SetProperty(one => one.FinishedAt, clock.GetUtcNow()),
        cancel);

    private static IQueryable<Preparation> Ours(FineTuneDb db, Preparation ours) => db.Preparations.Where(row => row.Id == ours.Id && row.Attempt == ours.Attempt && row.Status == PreparationStatus.Running);
}
