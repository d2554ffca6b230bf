using FineTuneService.Storage;

namespace FineTuneService.Worker;

/// <summary>Looks after sweeps from time to time. They move on when a job ends; this is for a process that died, or lost its database, just then.</summary>
internal sealed class AdvanceSweeps(SweepStates sweeps, TimeProvider clock, ILogger<AdvanceSweeps> log) : PeriodicService(TimeSpan.FromSeconds(5), clock)
{
    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            await sweeps.AdvanceAll(cancel);
        }
        catch (Exception error) when (RunJob.IsDatabaseAway(error))
        {
            log.LogWarning("The database does not answer: {Error}", error.GetBaseException().Message);
        }
    }
}
