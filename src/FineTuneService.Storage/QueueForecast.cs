using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Caching.Memory;

namespace FineTuneService.Storage;

/// <summary>Guesses when a job's turn comes: the jobs before it, each as long as those that ended lately, on the slots of the workers that are there.</summary>
public sealed class QueueForecast(QueuePlaces places, TimeProvider clock) : IDisposable
{
    private const int Recent = 20;
    private static readonly TimeSpan WorkerSilence = TimeSpan.FromSeconds(30), Age = TimeSpan.FromSeconds(0.5);

    private readonly MemoryCache _paces = new(new MemoryCacheOptions());

    /// <param name="Free">When each slot is free, in seconds from now: the busy ones after what their job needs yet.</param>
    /// <param name="Usual">How long a job takes; null where nothing tells.</param>
    private sealed record Pace(IReadOnlyList<double> Free, double? Usual);

    public void Dispose() => _paces.Dispose();

    /// <returns>Null for a job that does not wait for a worker; the time null where nothing tells.</returns>
    public async Task<(int Position, DateTimeOffset? Start)?> Of(FineTuneDb db, Job job, CancellationToken cancel)
    {
        if (await places.Of(db, job, cancel) is not { } position)
            return null;
        if (!_paces.TryGetValue(job.Requires ?? "", out Pace? pace))
            pace = _paces.Set(job.Requires ?? "", await PaceOf(db, job.Requires, cancel), Age);
        if (pace is not { Usual: { } usual })
            return (position, null);
        var free = new PriorityQueue<double, double>(pace.Free.Select(seconds => (seconds, seconds)));
        for (var before = 0; before < position; before++)
        {
            var next = free.Dequeue() + usual;
            free.Enqueue(next, next);
        }
        return (position, clock.GetUtcNow() + TimeSpan.FromSeconds(free.Peek()));
    }

    private async Task<Pace> PaceOf(FineTuneDb db, string? requires, CancellationToken cancel)
    {
        var jobs = db.Jobs.IgnoreQueryFilters();
        var since = clock.GetUtcNow() - WorkerSilence;
        var slots = await db.Workers.Where(worker => worker.HeartbeatAt > since && !worker.Draining && (requires == null || worker.Capabilities.Contains(requires))).SumAsync(worker => worker.Slots, cancel);
        if (slots == 0)
            return new([], null);
        var lasted = await jobs.Where(other => other.Status == JobStatus.Succeeded && other.Requires == requires).OrderByDescending(other => other.FinishedAt).Take(Recent).Select(other => other.RunSeconds).ToListAsync(cancel);
        if (lasted.Count == 0)
            return new([], null);
        var usual = lasted.Average();
        var running = await jobs.Where(other => other.Status == JobStatus.Preparing || other.Status == JobStatus.Running).Select(other => other.EtaSeconds).ToListAsync(cancel);
        return new([.. running.Select(left => left ?? usual).Concat(Enumerable.Repeat(0.0, slots)).OrderDescending().Take(slots)], usual);
    }
}
