using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Preparations;

public static class ReadPreparations
{
    /// <summary>Lists a dataset's reports and cleanings, the newest first.</summary>
    /// <param name="id">The dataset's id.</param>
    /// <param name="limit">How many on a page, 1 to 200; 50 unless given.</param>
    /// <param name="after">The <c>next_after</c> of the page before.</param>
    public static async Task<Ok<Page<PreparationView, string?>>> List(string id, FineTuneDb db, CancellationToken cancel, int? limit = null, string? after = null)
    {
        var size = Page.Limit(limit, usual: 50, most: 200);
        await db.FindDataset(id, cancel);
        var all = db.Preparations.AsNoTracking().Where(row => row.DatasetId == id && (after == null || string.Compare(row.Id, after) < 0));
        var rows = await all.OrderByDescending(row => row.Id).Take(size + 1).Select(row => new Preparation // Results may be large.
        {
            Id = row.Id,
            ProjectId = row.ProjectId,
            DatasetId = row.DatasetId,
            ValidationId = row.ValidationId,
            TestId = row.TestId,
            Kind = row.Kind,
            Status = row.Status,
            Request = "{}",
            Phase = row.Phase,
            Progress = row.Progress,
            Reason = row.Reason,
            Faults = row.Faults,
            CreatedAt = row.CreatedAt,
            StartedAt = row.StartedAt,
            FinishedAt = row.FinishedAt,
        }).ToListAsync(cancel);
        return TypedResults.Ok(Page.Of<Preparation, PreparationView, string?>(rows, size, PreparationView.From, row => row.Id));
    }

    /// <summary>Tells how far a report or a cleaning is, and what came of it.</summary>
    /// <param name="id">The dataset's id.</param>
    /// <param name="preparation">Its own id.</param>
    public static async Task<Ok<PreparationView>> Get(string id, string preparation, FineTuneDb db, CancellationToken cancel) => TypedResults.Ok(PreparationView.From(
        await db.Preparations.AsNoTracking().FirstOrDefaultAsync(row => row.Id == preparation && row.DatasetId == id, cancel) ?? throw ProblemException.NotFound("preparation", preparation)));

    /// <summary>Reads the newest report of a dataset that is done.</summary>
    /// <param name="id">The dataset's id.</param>
    public static async Task<Ok<DataReport>> Report(string id, FineTuneDb db, CancellationToken cancel)
    {
        await db.FindDataset(id, cancel);
        var newest = await db.Preparations.AsNoTracking().Where(row => row.DatasetId == id && row.Kind == PreparationKind.Report && row.Status == PreparationStatus.Succeeded).OrderByDescending(row => row.Id).FirstOrDefaultAsync(cancel);
        return TypedResults.Ok(newest is null ? throw ProblemException.NotFound("report of dataset", id) : PreparationView.From(newest).Report);
    }

    /// <summary>Downloads what became of each row that a cleaned dataset was made of: a JSON object a line.</summary>
    /// <param name="id">The dataset's id.</param>
    public static async Task<PhysicalFileHttpResult> Ledger(string id, FineTuneDb db, DatasetFiles datasets, CancellationToken cancel) =>
        TypedResults.PhysicalFile(await datasets.FindLedger(await db.FindDataset(id, cancel), cancel) ?? throw ProblemException.NotFound("ledger of dataset", id), "application/jsonl", $"{id}.ledger.jsonl");

    /// <summary>Deletes a report or a cleaning, and ends it if it is under way; datasets that it has made stay.</summary>
    /// <param name="id">The dataset's id.</param>
    /// <param name="preparation">Its own id.</param>
    public static async Task<NoContent> Delete(string id, string preparation, FineTuneDb db, CancellationToken cancel) =>
        await db.Preparations.Where(row => row.Id == preparation && row.DatasetId == id).ExecuteDeleteAsync(cancel) > 0 ? TypedResults.NoContent() : throw ProblemException.NotFound("preparation", preparation);
}
