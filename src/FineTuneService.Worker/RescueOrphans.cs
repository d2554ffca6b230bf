using FineTuneService.Storage;

namespace FineTuneService.Worker;

/// <summary>
/// Sees to jobs that nothing would move: those whose worker has fallen silent, those whose ticket was lost, and those that wait for others or for their deadline.
/// Hangfire hands on what a dead worker held, so the first two are for what Hangfire does not hold. A surplus ticket finds nothing.
/// </summary>
internal sealed class RescueOrphans(JobStates states, WaitingJobs waiting, JobQueue queue, TimeProvider clock, WorkerSilence silence, ILogger<RescueOrphans> log) : PeriodicService(TimeSpan.FromSeconds(2), clock)
{
    private static readonly TimeSpan RescueInterval = TimeSpan.FromSeconds(20);

    private readonly TimeProvider _clock = clock;
    private long _rescued;

    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            await waiting.AdvanceDependents(cancel);
            await waiting.ExpireOverdue(cancel);
            silence.DatabaseAnswers();
            if (_rescued != 0 && _clock.GetElapsedTime(_rescued) < RescueInterval)
                return;
            _rescued = _clock.GetTimestamp();
            foreach (var job in await states.Orphans(silence.Longest * 2, cancel))
            {
                log.LogWarning("Job {JobId}: its worker has fallen silent; it is queued again", job.Id);
                queue.AddTicket(job.Requires, TimeSpan.Zero);
            }
            foreach (var name in await waiting.ReplaceTickets(cancel))
                log.LogInformation("Jobs wait in the queue {Queue} without tickets; they get new ones", name);
        }
        catch (Exception error) when (RunJob.IsDatabaseAway(error))
        {
            silence.DatabaseIsAway();
            log.LogWarning("The database does not answer: {Error}", error.GetBaseException().Message);
        }
    }
}
