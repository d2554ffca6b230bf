using Hangfire.States;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Decides which job is next: by priority, then the project that runs least, then age; within the projects' limits.</summary>
public sealed class JobClaims(IDbContextFactory<FineTuneDb> databases, JobStates states, TimeProvider clock) : IDisposable
{
    private const int ClaimLock = 0x46_54_51; // Of this service's advisory locks, the one under which jobs are chosen.

    private readonly SemaphoreSlim _one = new(1);

    /// <summary>Takes the next job of a queue for a worker; see <see cref="JobStates.Claim"/>. Null when there is none.</summary>
    /// <param name="queue">See <see cref="JobQueue.QueueFor"/>.</param>
    public async Task<Job?> Next(string queue, string worker, TimeSpan heartbeatLease, CancellationToken cancel)
    {
        // Here first: whoever waits for the database's lock holds a connection, and the one that has the lock needs a second.
        await _one.WaitAsync(cancel);
        try
        {
            return await Choose(queue, worker, heartbeatLease, cancel);
        }
        finally
        {
            _one.Release();
        }
    }

    private async Task<Job?> Choose(string queue, string worker, TimeSpan heartbeatLease, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await db.Database.OpenConnectionAsync(cancel);
        // One chooses at a time, or two would run into a project's limit together. On a connection of its own: it is let go when we die.
        try
        {
            await db.Database.ExecuteSqlAsync($"SELECT pg_advisory_lock({ClaimLock})", cancel);
            while (await Candidates(db, queue, heartbeatLease).FirstOrDefaultAsync(cancel) is { } next)
                if (await states.Claim(next, worker, heartbeatLease, cancel) is { } job)
                    return job;
            return null;
        }
        finally
        {
            await db.Database.ExecuteSqlAsync($"SELECT pg_advisory_unlock({ClaimLock})", CancellationToken.None);
        }
    }

    public void Dispose() => _one.Dispose();

    private IQueryable<string> Candidates(FineTuneDb db, string queue, TimeSpan heartbeatLease)
    {
        var now = clock.GetUtcNow();
        var silent = now - heartbeatLease;
        return db.Database.SqlQuery<string>($"""
            SELECT job.id AS "Value" FROM finetune.jobs AS job
            LEFT JOIN finetune.projects AS project ON project.id = job.project_id
            CROSS JOIN LATERAL (SELECT count(*) AS jobs FROM finetune.jobs AS other WHERE other.project_id = job.project_id AND other.status IN ('Preparing', 'Running') AND other.heartbeat_at >= {silent}) AS running
            WHERE ((job.status IN ('Queued', 'Retrying') AND (job.not_before IS NULL OR job.not_before <= {now})) OR (job.status IN ('Preparing', 'Running') AND job.heartbeat_at < {silent}))
                AND coalesce(job.requires, {EnqueuedState.DefaultQueue}) = {queue}
                AND (project.max_running_jobs IS NULL OR running.jobs < project.max_running_jobs)
            ORDER BY job.priority DESC, running.jobs, job.id
            """);
    }
}
