using FineTuneService.Storage;
using FineTuneService.Storage.Telemetry;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace FineTuneService.Worker;

/// <summary>Keeps this process's row in the table of workers, until it stops; and clears away those of processes that had no time to.</summary>
internal sealed class TellOfWorker(IDbContextFactory<FineTuneDb> databases, WorkerMetrics metrics, IOptions<WorkerSettings> options, IHostApplicationLifetime host, TimeProvider clock, ILogger<TellOfWorker> log)
    : PeriodicService(TimeSpan.FromSeconds(5), clock)
{
    private static readonly TimeSpan Forgotten = TimeSpan.FromDays(1);

    private readonly TimeProvider _clock = clock;
    private readonly DateTimeOffset _startedAt = clock.GetUtcNow();

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await Tick(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await InDatabase(db => db.Workers.Where(worker => worker.Id == RunJob.WorkerName).ExecuteDeleteAsync(cancellationToken), cancellationToken);
    }

    protected override Task Tick(CancellationToken cancel) => InDatabase(async db =>
    {
        var (settings, now) = (options.Value, _clock.GetUtcNow());
        await db.Database.ExecuteSqlAsync($"""
            INSERT INTO finetune.workers (id, machine, capabilities, slots, busy, draining, version, started_at, heartbeat_at)
            VALUES ({RunJob.WorkerName}, {Environment.MachineName}, {settings.Capabilities.ToArray()}, {settings.Slots}, {metrics.Busy}, {host.ApplicationStopping.IsCancellationRequested}, {TelemetryServices.Version}, {_startedAt}, {now})
            ON CONFLICT (id) DO UPDATE SET busy = excluded.busy, draining = excluded.draining, heartbeat_at = excluded.heartbeat_at
            """, cancel);
        await db.Workers.Where(worker => worker.HeartbeatAt < now - Forgotten).ExecuteDeleteAsync(cancel);
    }, cancel);

    private async Task InDatabase(Func<FineTuneDb, Task> act, CancellationToken cancel)
    {
        try
        {
            await using var db = await databases.CreateDbContextAsync(cancel);
            await act(db);
        }
        catch (Exception error) when (RunJob.IsDatabaseAway(error))
        {
            log.LogWarning("The database does not answer: {Error}", error.GetBaseException().Message);
        }
    }
}
