using System.Text.Json;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>
/// Moves jobs between states: under the row's lock, only along <see cref="JobTransitions"/>, and for a run's own moves only by the attempt that owns it.
/// What users ask of them is in <see cref="JobRequests"/>. Each move is an event, wakes those who listen on <see cref="Channel"/>, and is told to the project's webhooks; the last one moves the job's sweep on.
/// </summary>
public sealed class JobStates(IDbContextFactory<FineTuneDb> databases, SweepProgress sweeps, TimeProvider clock)
{
    /// <summary>NOTIFY channel; the payload is the job's id.</summary>
    public const string Channel = "finetune_events";

    private const string StatusType = "status";

    /// <summary>Takes a job for a worker: a new attempt, which voids the one before. Null when the job is not to be taken, or its worker is alive.</summary>
    public Task<Job?> Claim(string jobId, string worker, TimeSpan heartbeatLease, CancellationToken cancel) => OnLocked(jobId, (db, job) =>
    {
        var now = clock.GetUtcNow();
        if (!job.Status.CanBecome(JobStatus.Preparing) || (job.Status is JobStatus.Preparing or JobStatus.Running && now - job.HeartbeatAt < heartbeatLease))
            return null;
        if (job.CancelRequestedAt is not null)
        {
            Move(db, job, JobStatus.Cancelled, "Cancelled on request.");
            return null;
        }
        if (job.PauseRequestedAt is not null)
        {
            Move(db, job, JobStatus.Paused, "Paused on request.");
            return null;
        }
        (job.Attempt, job.Worker, job.HeartbeatAt) = (job.Attempt + 1, worker, now);
        job.StartedAt ??= now;
        Move(db, job, JobStatus.Preparing, job.Attempt == 1 ? null : $"Attempt {job.Attempt}.");
        return job;
    }, cancel);

    /// <param name="delay">Before a job that is to be retried may be taken again.</param>
    /// <param name="isForgiven">Whether this attempt does not count among those that may be lost.</param>
    /// <returns>False when the job is no longer this attempt's, or the move is not allowed.</returns>
    public async Task<bool> Change(string jobId, int attempt, JobStatus to, string? reason, IReadOnlyList<Fault>? faults, CancellationToken cancel, TimeSpan delay = default, bool isForgiven = false) => await OnLocked(jobId, (db, job) =>
    {
        if (job.Attempt != attempt || !job.Status.CanBecome(to))
            return null;
        job.NotBefore = to == JobStatus.Retrying ? clock.GetUtcNow() + delay : null;
        if (isForgiven)
            job.ForgivenAttempts++;
        if (faults is { Count: > 0 })
            job.Faults = JsonSerializer.Serialize(faults, SnakeCaseJson.Options);
        Move(db, job, to, reason);
        return job;
    }, cancel) is not null;

    /// <summary>Tells that the attempt is alive, and for how long it has run.</summary>
    /// <returns>What it is to do.</returns>
    public async Task<RunOrder> Heartbeat(string jobId, int attempt, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow();
        var orders = await db.Database.SqlQuery<string>($"""
            UPDATE finetune.jobs SET run_seconds = run_seconds + greatest(0, extract(epoch FROM {now} - heartbeat_at)), heartbeat_at = {now}
            WHERE id = {jobId} AND attempt = {attempt} AND status IN ('Preparing', 'Running')
            RETURNING CASE WHEN cancel_requested_at IS NOT NULL THEN 'Cancel' WHEN pause_requested_at IS NOT NULL THEN 'Pause'
                WHEN deadline < {now} OR run_seconds > max_runtime_seconds THEN 'OutOfTime' ELSE 'GoOn' END AS "Value"
            """).ToListAsync(cancel);
        return orders is [var order] ? Enum.Parse<RunOrder>(order) : RunOrder.Lost;
    }

    /// <summary>Jobs whose worker has not been heard of for longer than <paramref name="silence"/>.</summary>
    public async Task<IReadOnlyList<Job>> Orphans(TimeSpan silence, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var since = clock.GetUtcNow() - silence;
        return await db.Jobs.Where(job => (job.Status == JobStatus.Preparing || job.Status == JobStatus.Running) && job.HeartbeatAt < since).AsNoTracking().ToListAsync(cancel);
    }

    /// <summary>Tells people something that is in no run's log, because no trainer runs, or it says nothing.</summary>
    /// <param name="level"><c>info</c> or <c>warning</c>.</param>
    /// <param name="code">A short stable name.</param>
    /// <returns>False when the job is no longer this attempt's.</returns>
    public async Task<bool> Note(string jobId, int attempt, string level, string code, string message, CancellationToken cancel) => await OnLocked(jobId, (db, job) =>
    {
        if (job.Attempt != attempt)
            return null;
        var now = clock.GetUtcNow();
        db.Events.Add(new()
        {
            JobId = job.Id,
            Type = "note",
            Time = now,
            Data = JsonSerializer.Serialize(new { Type = "note", Attempt = attempt, Time = now, Level = level, Code = code, Message = message }, SnakeCaseJson.Options),
        });
        return job;
    }, cancel) is not null;

    internal static JobEvent StatusEvent(Job job, TimeProvider clock)
    {
        var now = clock.GetUtcNow();
        return new()
        {
            JobId = job.Id,
            Type = StatusType,
            Time = now,
            Data = JsonSerializer.Serialize(new { job.Status, job.Reason, job.Attempt, Time = now }, SnakeCaseJson.Options),
        };
    }

    internal void Move(FineTuneDb db, Job job, JobStatus to, string? reason)
    {
        (job.Status, job.Reason, job.Version) = (to, reason, job.Version + 1);
        if (to.IsTerminal())
            (job.FinishedAt, job.EtaSeconds) = (clock.GetUtcNow(), null);
        db.Events.Add(StatusEvent(job, clock));
    }

    internal Task<Job?> OnLocked(string jobId, Func<FineTuneDb, Job, Job?> act, CancellationToken cancel) => OnLocked(jobId, (db, job) => Task.FromResult(act(db, job)), cancel);

    /// <param name="act">Null from it leaves everything as it is.</param>
    internal async Task<Job?> OnLocked(string jobId, Func<FineTuneDb, Job, Task<Job?>> act, CancellationToken cancel)
    {
        var (job, changed) = await Commit(jobId, act, cancel);
        // If we die before this: a worker looks after all sweeps from time to time.
        if (job is { SweepId: { } sweep } && job.Status.IsTerminal())
            await sweeps.Advance(sweep, cancel);
        return changed;
    }

    private async Task<(Job? Job, Job? Changed)> Commit(string jobId, Func<FineTuneDb, Job, Task<Job?>> act, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await db.LockJob(jobId, cancel) is not { } job)
            return default;
        var changed = await act(db, job);
        if (db.Events.Local.Any(happened => happened.Type == StatusType))
            await db.Announce(job, clock.GetUtcNow(), cancel);
        await db.SaveChangesAsync(cancel);
        await db.Notify(jobId, cancel);
        await transaction.CommitAsync(cancel);
        return (job, changed);
    }
}

/// <summary>What the attempt that trains a job is to do.</summary>
public enum RunOrder
{
    GoOn,

    /// <summary>The job is another attempt's.</summary>
    Lost,
    Cancel,
    Pause,

    /// <summary>Its deadline or its longest running time has passed.</summary>
    OutOfTime,
}
