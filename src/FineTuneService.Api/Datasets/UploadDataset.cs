using FineTuneService.Api.Paging;
using FineTuneService.Api.Preparations;
using FineTuneService.Api.Projects;
using FineTuneService.Api.Uploads;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Datasets;

public static class UploadDataset
{
    /// <summary>Uploads a file of rows: csv, tsv, jsonl or parquet, by the file's name; UTF-8, with a header row in csv and tsv.</summary>
    /// <remarks>It is published whole or not at all. Columns, first rows and label counts are in the answer.</remarks>
    public static async Task<Created<DatasetView>> Handle(
        HttpRequest request, FineTuneDb db, StorageSettings storage, DatasetFiles datasets, IOptions<DatasetSettings> settings, TimeProvider clock, CancellationToken cancel)
    {
        await using var draft = new DatasetDraft(storage, datasets);
        var upload = await UploadForm.Read(request, draft.Create, await Quotas.StorageLeft(db, settings.Value.MaxBytes, cancel), cancel);
        var dataset = await draft.Publish(db.Project!, upload.FileName, upload.Name ?? upload.FileName, upload.Sha256, clock.GetMicrosecondsNow(), cancel);
        await dataset.Keep(db, datasets, settings.Value, clock, cancel);
        return TypedResults.Created($"/datasets/{dataset.Id}", DatasetView.From(dataset));
    }

    /// <summary>Stores a published dataset's row; without it the file goes, too.</summary>
    internal static async Task Keep(this Dataset dataset, FineTuneDb db, DatasetFiles datasets, DatasetSettings settings, TimeProvider clock, CancellationToken cancel)
    {
        db.Add(dataset, settings, clock);
        try
        {
            await db.SaveChangesAsync(cancel);
        }
        catch
        {
            await datasets.Delete(dataset, CancellationToken.None);
            throw;
        }
    }

    /// <summary>With the report on it, where datasets get one unasked.</summary>
    internal static void Add(this FineTuneDb db, Dataset dataset, DatasetSettings settings, TimeProvider clock)
    {
        db.Datasets.Add(dataset);
        if (settings.ReportOnUpload)
            db.Preparations.Add(PostPreparation.ReportOf(dataset, clock));
    }
}
