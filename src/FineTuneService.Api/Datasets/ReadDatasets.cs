using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Datasets;

public static class ReadDatasets
{
    /// <summary>Lists datasets, the newest first.</summary>
    /// <param name="limit">Datasets on a page, 1 to 200; 50 unless given.</param>
    /// <param name="after">The <c>next_after</c> of the page before.</param>
    public static async Task<Ok<Page<DatasetView, string?>>> List(FineTuneDb db, CancellationToken cancel, int? limit = null, string? after = null)
    {
        var size = Page.Limit(limit, usual: 50, most: 200);
        var datasets = db.Datasets.AsNoTracking();
        if (after is not null)
            datasets = datasets.Where(dataset => string.Compare(dataset.Id, after) < 0);
        return TypedResults.Ok(Page.Of<Dataset, DatasetView, string?>(await datasets.OrderByDescending(dataset => dataset.Id).Take(size + 1).ToListAsync(cancel), size, DatasetView.From, dataset => dataset.Id));
    }

    /// <summary>Describes a dataset: row count, columns, first rows, label counts.</summary>
    /// <param name="id">The dataset's id.</param>
    public static async Task<Ok<DatasetView>> Get(string id, FineTuneDb db, CancellationToken cancel) => TypedResults.Ok(DatasetView.From(await db.FindDataset(id, cancel)));

    /// <exception cref="ProblemException">404.</exception>
    public static async Task<Dataset> FindDataset(this FineTuneDb db, string id, CancellationToken cancel) =>
        await db.Datasets.AsNoTracking().FirstOrDefaultAsync(dataset => dataset.Id == id, cancel) ?? throw ProblemException.NotFound("dataset", id);
}
