using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Guesses when a job's turn comes: the jobs before it, each as long as those that ended lately, on the slots of the workers that are there.</summary>
public static class QueueForecast
{
    private const int Recent = 20;
    private static readonly TimeSpan WorkerSilence = TimeSpan.FromSeconds(30);

    /// <returns>Null for a job that does not wait for a worker; the time null where nothing tells.</returns>
    public static async Task<(int Position, DateTimeOffset? Start)?> Of(FineTuneDb db, QueuePlaces places, Job job, DateTimeOffset now, CancellationToken cancel)
    {
        if (await places.Of(db, job, cancel) is not { } position)
            return null;
        var jobs = db.Jobs.IgnoreQueryFilters();
        var since = now - WorkerSilence;
        var slots = await db.Workers.Where(worker => worker.HeartbeatAt > since && !worker.Draining && (job.Requires == null || worker.Capabilities.Contains(job.Requires))).SumAsync(worker => worker.Slots, cancel);
        if (slots == 0)
            return (position, null);
        var lasted = await jobs.Where(other => other.Status == JobStatus.Succeeded && other.Requires == job.Requires).OrderByDescending(other => other.FinishedAt).Take(Recent).Select(other => other.RunSeconds).ToListAsync(cancel);
        if (lasted.Count == 0)
            return (position, null);
        var usual = lasted.Average();
        var running = await jobs.Where(other => other.Status == JobStatus.Preparing || other.Status == JobStatus.Running).Select(other => other.EtaSeconds).ToListAsync(cancel);
        // When each slot is free: the busy ones after what their job needs yet, and then job after job.
        var free = new PriorityQueue<double, double>(running.Select(left => left ?? usual).Concat(Enumerable.Repeat(0.0, slots)).OrderDescending().Take(slots).Select(seconds => (seconds, seconds)));
        for (var before = 0; before < position; before++)
        {
            var next = free.Dequeue() + usual;
            free.Enqueue(next, next);
        }
        return (position, now + TimeSpan.FromSeconds(free.Peek()));
    }
}
