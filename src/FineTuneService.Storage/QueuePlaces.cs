using System.Collections.Concurrent;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>How many jobs are taken before another. In a long queue this is counted for all jobs at once, twice a second: each of thousands that ask would count thousands.</summary>
public sealed class QueuePlaces(TimeProvider clock) : IDisposable
{
    private const int Long = 100;
    private static readonly TimeSpan Age = TimeSpan.FromSeconds(0.5);

    private readonly ConcurrentDictionary<string, (DateTimeOffset CountedAt, Dictionary<string, int> Places)> _counted = [];
    private readonly SemaphoreSlim _counting = new(1);

    public void Dispose() => _counting.Dispose();

    /// <summary>As things stand, by workers that could take it; null for a job that is not in the queue.</summary>
    public async Task<int?> Of(FineTuneDb db, Job job, CancellationToken cancel)
    {
        if (job.Status is not (JobStatus.Queued or JobStatus.Retrying))
            return null;
        var queue = job.Requires ?? "";
        if (_counted.TryGetValue(queue, out var counted) && clock.GetUtcNow() - counted.CountedAt < Age && counted.Places.TryGetValue(job.Id, out var known))
            return known;
        var others = db.Jobs.IgnoreQueryFilters().Where(other => (other.Status == JobStatus.Queued || other.Status == JobStatus.Retrying) && other.Requires == job.Requires);
        var place = await others.CountAsync(other => other.Priority > job.Priority || (other.Priority == job.Priority && string.Compare(other.Id, job.Id) < 0), cancel);
        if (place >= Long && await _counting.WaitAsync(0, cancel))
            try
            {
                var at = clock.GetUtcNow();
                var ids = await others.OrderByDescending(other => other.Priority).ThenBy(other => other.Id).Select(other => other.Id).ToListAsync(cancel);
                _counted[queue] = (at, ids.Index().ToDictionary(id => id.Item, id => id.Index));
            }
            finally
            {
                _counting.Release();
            }
        return place;
    }
}
