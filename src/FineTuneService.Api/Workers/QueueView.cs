using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Workers;

/// <summary>Jobs of all projects that wait for the same kind of worker.</summary>
public sealed record QueueView
{
    /// <summary>The capability that they need; absent: any worker will do.</summary>
    public string? Capability { get; init; }

    /// <summary>Jobs that a free worker could take now.</summary>
    public required int Waiting { get; init; }

    /// <summary>How long the oldest of them has waited; 0 where none waits.</summary>
    public required double OldestSeconds { get; init; }

    /// <summary>Every queue that has jobs or workers, and the one that every worker serves.</summary>
    internal static async Task<IReadOnlyList<QueueView>> Read(FineTuneDb db, DateTimeOffset now, CancellationToken cancel)
    {
        var waiting = await db.Jobs.IgnoreQueryFilters()
            .Where(job => (job.Status == JobStatus.Queued || job.Status == JobStatus.Retrying) && (job.NotBefore == null || job.NotBefore <= now))
            .GroupBy(job => job.Requires)
            .Select(queue => new { Capability = queue.Key, Jobs = queue.Count(), Since = queue.Min(job => job.NotBefore ?? job.HeartbeatAt ?? job.CreatedAt) }).ToListAsync(cancel);
        var offered = await db.Workers.Select(worker => worker.Capabilities).ToListAsync(cancel);
        return [.. from capability in offered.SelectMany(all => all).Concat(waiting.Select(queue => queue.Capability)).Append(null).Distinct().Order(StringComparer.Ordinal)
                   let queue = waiting.FirstOrDefault(queue => queue.Capability == capability)
                   select new QueueView { Capability = capability, Waiting = queue?.Jobs ?? 0, OldestSeconds = queue is null ? 0 : Math.Max(0, (now - queue.Since).TotalSeconds) }];
    }
}
