using System.Diagnostics.Metrics;
using System.Text.Json;
using FineTuneService.Api.Workers;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Telemetry;

/// <summary>
/// The API's instruments: what stands in the tables, as it was some seconds ago; nothing while they cannot be read.
/// Every API tells the same: of several, take the greatest, not the sum.
/// </summary>
internal sealed class ApiMetrics : PeriodicService
{
    public const string Meter = "FineTuneService.Api";

    private readonly IDbContextFactory<FineTuneDb> _databases;
    private readonly TimeProvider _clock;
    private readonly ILogger<ApiMetrics> _log;
    private volatile IReadOnlyDictionary<JobStatus, int> _jobs = new Dictionary<JobStatus, int>();
    private volatile IReadOnlyList<QueueView> _queues = [];

    public ApiMetrics(IMeterFactory meters, IDbContextFactory<FineTuneDb> databases, TimeProvider clock, ILogger<ApiMetrics> log) : base(TimeSpan.FromSeconds(3), clock)
    {
        (_databases, _clock, _log) = (databases, clock, log);
        var meter = meters.Create(Meter);
        meter.CreateObservableGauge("finetune.jobs", () => _jobs.Select(jobs => new Measurement<int>(jobs.Value, new KeyValuePair<string, object?>("status", JsonNamingPolicy.SnakeCaseLower.ConvertName($"{jobs.Key}")))), "{job}", "Jobs by state.");
        meter.CreateObservableGauge("finetune.queue.length", () => _queues.Select(queue => new Measurement<int>(queue.Waiting, NameOf(queue))), "{job}", "Jobs that a free worker could take now.");
        meter.CreateObservableGauge("finetune.queue.oldest", () => _queues.Select(queue => new Measurement<double>(queue.OldestSeconds, NameOf(queue))), "s", "How long the oldest of them has waited.");
    }

    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            await using var db = await _databases.CreateDbContextAsync(cancel);
            var counts = await db.Jobs.GroupBy(job => job.Status).Select(jobs => new { jobs.Key, Count = jobs.Count() }).ToDictionaryAsync(jobs => jobs.Key, jobs => jobs.Count, cancel);
            _jobs = Enum.GetValues<JobStatus>().ToDictionary(status => status, status => counts.GetValueOrDefault(status));
            _queues = await QueueView.Read(db, _clock.GetUtcNow(), cancel);
        }
        catch (Exception error) when (!cancel.IsCancellationRequested) // Whatever it is, requests are served without.
        {
            (_jobs, _queues) = (new Dictionary<JobStatus, int>(), []);
            _log.LogWarning("The tables cannot be read for the metrics: {Error}", error.GetBaseException().Message);
        }
    }

    private static KeyValuePair<string, object?> NameOf(QueueView queue) => new("queue", JobQueue.QueueFor(queue.Capability));
}
