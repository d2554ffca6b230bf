using FineTuneService.Storage;
using Microsoft.Extensions.Options;
using Npgsql;

namespace FineTuneService.Worker;

/// <summary>
/// Queues jobs again whose worker has fallen silent. Hangfire hands on what a dead worker held, so this is for what Hangfire does not hold:
/// a queue entry that was lost with a database restored from a backup, or deleted by hand in the dashboard. A surplus entry finds nothing to claim.
/// </summary>
internal sealed class RescueOrphans(JobStates states, JobQueue queue, TimeProvider clock, IOptions<WorkerSettings> options, ILogger<RescueOrphans> log) : PeriodicService(TimeSpan.FromSeconds(30), clock)
{
    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            foreach (var job in await states.Orphans(options.Value.HeartbeatLease * 2, cancel))
            {
                log.LogWarning("Job {JobId}: its worker has fallen silent; it is queued again", job);
                queue.EnqueueAgain(job, TimeSpan.Zero);
            }
        }
        catch (NpgsqlException error)
        {
            log.LogWarning("The database does not answer: {Error}", error.Message);
        }
    }
}
