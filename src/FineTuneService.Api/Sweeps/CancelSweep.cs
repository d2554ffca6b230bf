using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Sweeps;

public static class CancelSweep
{
    /// <summary>Cancels a sweep: nothing more is queued, and each of its jobs is cancelled as by itself. Ended at once (200), unless a job runs (202).</summary>
    /// <param name="id">The sweep's id.</param>
    public static async Task<Results<Ok<SweepView>, Accepted<SweepView>>> Handle(string id, FineTuneDb db, SweepStates states, CancellationToken cancel)
    {
        await db.FindSweep(id, cancel);
        if (await states.RequestCancel(id, cancel) is not { } sweep)
            throw ProblemException.Conflict($"The sweep has ended already: {(await db.FindSweep(id, cancel)).Status.ToString().ToLowerInvariant()}.");
        var view = await ReadSweeps.View(db, sweep, cancel);
        return sweep.Status == SweepStatus.Running ? TypedResults.Accepted($"/sweeps/{id}", view) : TypedResults.Ok(view);
    }
}
