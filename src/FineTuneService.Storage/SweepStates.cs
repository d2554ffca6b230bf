using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>What is asked of whole sweeps.</summary>
public sealed class SweepStates(IDbContextFactory<FineTuneDb> databases, SweepProgress progress, JobRequests jobs, TimeProvider clock)
{
    /// <summary>Asks for a sweep's end: nothing more is queued, what waits ends at once, and what runs when its worker hears of it. Asking twice does no harm.</summary>
    /// <returns>The sweep as it is now; null when there is none, or it had ended before.</returns>
    public async Task<Sweep?> RequestCancel(string sweepId, CancellationToken cancel)
    {
        if (!await MarkCancelled(sweepId, cancel))
            return null;
        // If we die from here on: the mark stays, and a worker asks again.
        await using var db = await databases.CreateDbContextAsync(cancel);
        foreach (var job in await db.Jobs.Where(job => job.SweepId == sweepId && !JobTransitions.Ended.Contains(job.Status)).Select(job => job.Id).ToListAsync(cancel))
            await jobs.Cancel(job, cancel);
        await progress.Advance(sweepId, cancel);
        return await db.Sweeps.AsNoTracking().SingleOrDefaultAsync(sweep => sweep.Id == sweepId, cancel);
    }

    /// <summary>Moves on whatever a process that died has left standing.</summary>
    public async Task AdvanceAll(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        foreach (var sweep in await db.Sweeps.AsNoTracking().Where(sweep => sweep.Status == SweepStatus.Running).ToListAsync(cancel))
            if (sweep.CancelRequestedAt is null)
                await progress.Advance(sweep.Id, cancel);
            else
                await RequestCancel(sweep.Id, cancel);
    }

    private async Task<bool> MarkCancelled(string sweepId, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow();
        return await db.Sweeps.Where(sweep => sweep.Id == sweepId && sweep.Status == SweepStatus.Running)
            .ExecuteUpdateAsync(sweep => sweep.SetProperty(row => row.CancelRequestedAt, row => row.CancelRequestedAt ?? now), cancel) == 1;
    }
}
