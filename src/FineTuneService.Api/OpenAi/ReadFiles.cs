using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

public static class ReadFiles
{
    private const int Most = 10_000;

    /// <summary>Lists files: datasets, and the results of ended jobs.</summary>
    /// <param name="purpose">Only <c>fine-tune</c>, or only <c>fine-tune-results</c>; there are no others here.</param>
    /// <param name="limit">Files on a page, 1 to 10000; 10000 unless given.</param>
    /// <param name="order">By the time when dataset or job was made: <c>asc</c>, or <c>desc</c>, which is the default.</param>
    /// <param name="after">The id of the last file of the page before.</param>
    public static async Task<JsonHttpResult<OpenAiPage<OpenAiFile>>> List(FineTuneDb db, CancellationToken cancel, string? purpose = null, int? limit = null, string? order = null, string? after = null)
    {
        var size = Page.Limit(limit, usual: Most, most: Most);
        OpenAiFile.CheckKnown(purpose);
        if (order is not (null or "asc" or "desc"))
            throw new FaultException("?order", order, "There is no such order.", "Give asc or desc.");
        var cursor = new Cursor(after is null ? null : OpenAiIds.SortKeyOf(after), order != "asc", size + 1);
        OpenAiFile[] found =
        [
            .. purpose is null or OpenAiFile.ForFineTuning ? await Datasets(db, cursor, cancel) : [],
            .. purpose is null or OpenAiFile.Results ? await Results(db, cursor, cancel) : [],
        ];
        var sorted = cursor.Descending ? found.OrderByDescending(Key, StringComparer.Ordinal) : found.OrderBy(Key, StringComparer.Ordinal);
        return OpenAiJson.Answer(OpenAiList.PageOf([.. sorted], size, file => file.Id));

        static string Key(OpenAiFile file) => OpenAiIds.SortKeyOf(file.Id);
    }

    /// <summary>Describes a file.</summary>
    /// <param name="id">The file's id.</param>
    public static async Task<JsonHttpResult<OpenAiFile>> Get(string id, FineTuneDb db, CancellationToken cancel)
    {
        if (!OpenAiIds.IsResults(id))
            return OpenAiJson.Answer(OpenAiFile.From(await FindFile(db, id, cancel)));
        var (job, csv) = await FindResults(db, id, cancel);
        return OpenAiJson.Answer(ResultsFile.View(job.Id, job.FinishedAt!.Value, csv));
    }

    /// <summary>Downloads a file.</summary>
    /// <param name="id">The file's id.</param>
    public static async Task<IResult> Content(string id, FineTuneDb db, DatasetFiles datasets, CancellationToken cancel)
    {
        if (OpenAiIds.IsResults(id))
            return TypedResults.File((await FindResults(db, id, cancel)).Csv, "application/octet-stream", "step_metrics.csv");
        return await DownloadDataset.Handle((await FindFile(db, id, cancel)).Id, db, datasets, cancel);
    }

    /// <exception cref="ProblemException">404.</exception>
    internal static async Task<Dataset> FindFile(FineTuneDb db, string id, CancellationToken cancel)
    {
        var dataset = OpenAiIds.DatasetOf(id);
        return await db.Datasets.AsNoTracking().FirstOrDefaultAsync(row => row.Id == dataset, cancel) ?? throw ProblemException.NotFound("file", id);
    }

    private static async Task<(Job Job, byte[] Csv)> FindResults(FineTuneDb db, string id, CancellationToken cancel)
    {
        var jobId = OpenAiIds.JobOfResults(id);
        var job = await ResultsFile.Jobs(db).FirstOrDefaultAsync(job => job.Id == jobId, cancel) ?? throw ProblemException.NotFound("file", id);
        return (job, (await ResultsFile.Of(db, [jobId], cancel))[jobId]);
    }

    private static async Task<IEnumerable<OpenAiFile>> Datasets(FineTuneDb db, Cursor cursor, CancellationToken cancel)
    {
        var after = cursor.After is null ? null : $"ds_{cursor.After}";
        var rows = db.Datasets.AsNoTracking().Where(row => after == null || (cursor.Descending ? string.Compare(row.Id, after) < 0 : string.Compare(row.Id, after) > 0));
        var page = (cursor.Descending ? rows.OrderByDescending(row => row.Id) : rows.OrderBy(row => row.Id)).Take(cursor.Count);
        return (await page.Select(row => new { row.Id, row.FileName, row.Bytes, row.CreatedAt }).ToListAsync(cancel)).Select(row => OpenAiFile.From(row.Id, row.FileName, row.Bytes, row.CreatedAt));
    }

    private static async Task<IEnumerable<OpenAiFile>> Results(FineTuneDb db, Cursor cursor, CancellationToken cancel)
    {
        var after = cursor.After is null ? null : $"job_{cursor.After}";
        var rows = ResultsFile.Jobs(db).Where(row => after == null || (cursor.Descending ? string.Compare(row.Id, after) < 0 : string.Compare(row.Id, after) > 0));
        var page = await (cursor.Descending ? rows.OrderByDescending(row => row.Id) : rows.OrderBy(row => row.Id)).Take(cursor.Count).Select(row => new { row.Id, row.FinishedAt }).ToListAsync(cancel);
        var csv = await ResultsFile.Of(db, [.. page.Select(row => row.Id)], cancel);
        return page.Select(row => ResultsFile.View(row.Id, row.FinishedAt!.Value, csv[row.Id]));
    }

    private sealed record Cursor(string? After, bool Descending, int Count);
}
