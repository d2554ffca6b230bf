using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Moves jobs on that no worker has. It may be asked at any time, by anybody, any number of times; a worker asks from time to time.</summary>
public sealed class WaitingJobs(IDbContextFactory<FineTuneDb> databases, JobStates states, JobQueue queue, TimeProvider clock)
{
    private static readonly JobStatus[] Held = [JobStatus.Waiting, JobStatus.Queued, JobStatus.Retrying, JobStatus.Paused];

    /// <summary>Queues those whose dependencies have all succeeded; fails those with one that ended otherwise, or is gone.</summary>
    public async Task AdvanceDependents(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        foreach (var job in await db.Jobs.AsNoTracking().Where(job => job.Status == JobStatus.Waiting && job.DependsOn.Length > 0).OrderBy(job => job.Id).ToListAsync(cancel))
        {
            var ended = await db.Jobs.Where(other => job.DependsOn.Contains(other.Id)).Select(other => new { other.Id, other.Status }).ToDictionaryAsync(other => other.Id, other => other.Status, cancel);
            if (job.DependsOn.FirstOrDefault(id => !ended.TryGetValue(id, out var status) || status is JobStatus.Failed or JobStatus.Cancelled) is { } broken)
                await Move(job.Id, JobStatus.Failed, ended.TryGetValue(broken, out var status) ? $"It depends on {broken}, which has {status.ToString().ToLowerInvariant()}." : $"It depends on {broken}, which was deleted.", cancel);
            else if (ended.Values.All(status => status == JobStatus.Succeeded) && await Move(job.Id, JobStatus.Queued, "What it depends on has succeeded.", cancel))
                queue.AddTicket(job.Requires, TimeSpan.Zero);
        }
    }

    /// <summary>Fails those whose deadline has passed; of a running one its worker hears.</summary>
    public async Task ExpireOverdue(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow();
        foreach (var id in await db.Jobs.Where(job => Held.Contains(job.Status) && job.Deadline < now).Select(job => job.Id).ToListAsync(cancel))
            await Move(id, JobStatus.Failed, "Its deadline has passed.", cancel);
    }

    /// <summary>Gives tickets to queues in which jobs wait while there are none: they were lost with a database restored from a backup, by a process that died, or passed by while a project was at its limit.</summary>
    /// <returns>The queues.</returns>
    public async Task<IReadOnlyList<string>> ReplaceTickets(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow();
        var waiting = await db.Jobs.Where(job => (job.Status == JobStatus.Queued || job.Status == JobStatus.Retrying) && (job.NotBefore == null || job.NotBefore <= now))
            .GroupBy(job => job.Requires).Select(group => new { Requires = group.Key, Jobs = group.Count() }).ToListAsync(cancel);
        var without = waiting.Where(group => queue.Tickets(group.Requires) == 0).ToList();
        foreach (var group in without)
            for (var ticket = 0; ticket < group.Jobs; ticket++)
                queue.AddTicket(group.Requires, TimeSpan.Zero);
        return [.. without.Select(group => JobQueue.QueueFor(group.Requires))];
    }

    private async Task<bool> Move(string jobId, JobStatus to, string reason, CancellationToken cancel) => await states.OnLocked(jobId, (db, job) =>
    {
        if (!Held.Contains(job.Status))
            return null;
        states.Move(db, job, to, reason);
        return job;
    }, cancel) is not null;
}
