using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Sweeps;

public static class DeleteSweep
{
    /// <summary>Deletes a sweep that has ended. Its jobs stay, with their checkpoints, as if each had been posted by itself.</summary>
    /// <param name="id">The sweep's id.</param>
    public static async Task<NoContent> Handle(string id, FineTuneDb db, CancellationToken cancel)
    {
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await db.LockSweep(id, cancel) is not { } sweep)
            throw ProblemException.NotFound("sweep", id);
        if (sweep.Status == SweepStatus.Running)
            throw ProblemException.Conflict("The sweep has not ended; cancel it first.");
        await db.Jobs.Where(job => job.SweepId == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.SweepId, (string?)null), cancel);
        await db.SweepTrials.Where(trial => trial.SweepId == id).ExecuteDeleteAsync(cancel);
        db.Sweeps.Remove(sweep);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return TypedResults.NoContent();
    }
}
