using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>
/// Moves sweeps on. What comes next is a function of the rows alone, taken under the sweep row's lock: it may be asked for at any time, by anybody, any number of times.
/// So nobody has to watch a sweep; whoever sees one of its jobs end asks.
/// </summary>
public sealed class SweepProgress(IDbContextFactory<FineTuneDb> databases, JobQueue queue, TimeProvider clock)
{
    /// <summary>Queues the trials whose turn it is, begins the next rung, or ends the sweep.</summary>
    public async Task Advance(string sweepId, CancellationToken cancel)
    {
        using var transaction = Transactions.Begin();
        await using var db = await databases.CreateDbContextAsync(cancel);
        if (await db.LockSweep(sweepId, cancel) is not { Status: SweepStatus.Running } sweep)
            return;
        var standings = await SweepStanding.Of(db, sweepId).ToListAsync(cancel);
        var open = standings.Count(standing => standing.IsOpen);
        if (sweep.CancelRequestedAt is null)
        {
            if (open == 0 && !standings.Exists(standing => standing.IsWaiting))
                await AddRung(db, sweep, standings, cancel);
            open += await Start(db, sweep, sweep.MaxConcurrentJobs - open, cancel);
        }
        if (open == 0)
            End(sweep, standings);
        await db.SaveChangesAsync(cancel);
        transaction.Complete();
    }

    /// <summary>The best of the last rung, with more of the resource; nothing where no rung follows.</summary>
    private static async Task AddRung(FineTuneDb db, Sweep sweep, List<SweepStanding> standings, CancellationToken cancel)
    {
        if (JsonSerializer.Deserialize<SweepSpec>(sweep.Spec, SnakeCaseJson.Options)!.Strategy is not SuccessiveHalving halving)
            return;
        var rung = standings.Max(standing => standing.Rung);
        var last = standings.Where(standing => standing.Rung == rung).ToList();
        var survivors = SweepStanding.Ranked(last, sweep.GreaterIsBetter).Take(halving.Survivors(last.Count)).Select(standing => standing.Number).ToList();
        foreach (var trial in await db.SweepTrials.AsNoTracking().Where(row => row.SweepId == sweep.Id && row.Rung == rung && survivors.Contains(row.Number)).ToListAsync(cancel))
        {
            var (spec, parameters, resource) = (JsonNode.Parse(trial.Spec)!, JsonNode.Parse(trial.Parameters)!, halving.ResourceOf(rung + 1));
            spec["training"]![halving.ResourceName] = resource;
            parameters[halving.ResourcePointer] = resource;
            db.SweepTrials.Add(new() { SweepId = sweep.Id, Rung = rung + 1, Number = trial.Number, Parameters = parameters.ToJsonString(), Spec = spec.ToJsonString(), Resolutions = trial.Resolutions });
        }
        await db.SaveChangesAsync(cancel);
    }

    /// <returns>How many were started.</returns>
    private async Task<int> Start(FineTuneDb db, Sweep sweep, int free, CancellationToken cancel)
    {
        var next = await db.SweepTrials.Where(trial => trial.SweepId == sweep.Id && trial.JobId == null).OrderBy(trial => trial.Rung).ThenBy(trial => trial.Number).Take(Math.Max(0, free)).ToListAsync(cancel);
        foreach (var trial in next)
        {
            var job = NewJob.From(sweep.ProjectId, trial.Spec, trial.Resolutions, clock.GetUtcNow(), sweep.Id);
            trial.JobId = job.Id;
            await queue.Enqueue(job, cancel);
        }
        return next.Count;
    }

    private void End(Sweep sweep, List<SweepStanding> standings)
    {
        sweep.FinishedAt = clock.GetUtcNow();
        (sweep.Status, sweep.Reason) = sweep.CancelRequestedAt is not null ? (SweepStatus.Cancelled, "Cancelled on request.")
            : SweepStanding.Ranked(standings, sweep.GreaterIsBetter).Any() ? (SweepStatus.Succeeded, null)
            : (SweepStatus.Failed, "None of its jobs has succeeded; their reasons say why.");
    }
}
