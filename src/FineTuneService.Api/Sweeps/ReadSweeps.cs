using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Sweeps;

public static class ReadSweeps
{
    /// <summary>Lists sweeps, the newest first.</summary>
    /// <param name="limit">Sweeps on a page, 1 to 100; 20 unless given.</param>
    /// <param name="after">The <c>next_after</c> of the page before.</param>
    public static async Task<Ok<Page<SweepView, string?>>> List(FineTuneDb db, CancellationToken cancel, int? limit = null, string? after = null)
    {
        var size = Page.Limit(limit, usual: 20, most: 100);
        var sweeps = db.Sweeps.AsNoTracking();
        if (after is not null)
            sweeps = sweeps.Where(sweep => string.Compare(sweep.Id, after) < 0);
        var rows = await sweeps.OrderByDescending(sweep => sweep.Id).Take(size + 1).ToListAsync(cancel);
        var standings = (await SweepStanding.Of(db, [.. rows.Select(sweep => sweep.Id)]).ToListAsync(cancel)).ToLookup(standing => standing.SweepId);
        return TypedResults.Ok(Page.Of<Sweep, SweepView, string?>(rows, size, sweep => SweepView.From(sweep, [.. standings[sweep.Id]], withTrials: false), sweep => sweep.Id));
    }

    /// <summary>Tells how far a sweep is: its trials with their parameters, jobs and metrics, and the best of them.</summary>
    /// <param name="id">The sweep's id.</param>
    public static async Task<Ok<SweepView>> Get(string id, FineTuneDb db, CancellationToken cancel) => TypedResults.Ok(await View(db, await db.FindSweep(id, cancel), cancel));

    /// <summary>With its trials.</summary>
    internal static async Task<SweepView> View(FineTuneDb db, Sweep sweep, CancellationToken cancel) => SweepView.From(sweep, await SweepStanding.Of(db, sweep.Id).ToListAsync(cancel), withTrials: true);

    /// <exception cref="ProblemException">404.</exception>
    public static async Task<Sweep> FindSweep(this FineTuneDb db, string id, CancellationToken cancel) =>
        await db.Sweeps.AsNoTracking().FirstOrDefaultAsync(sweep => sweep.Id == id, cancel) ?? throw ProblemException.NotFound("sweep", id);
}
