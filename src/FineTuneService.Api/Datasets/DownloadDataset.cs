using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace FineTuneService.Api.Datasets;

public static class DownloadDataset
{
    /// <summary>Downloads the file as it was uploaded.</summary>
    /// <param name="id">The dataset's id.</param>
    public static async Task<PhysicalFileHttpResult> Handle(string id, FineTuneDb db, DatasetFiles datasets, CancellationToken cancel)
    {
        var dataset = await db.FindDataset(id, cancel);
        return TypedResults.PhysicalFile(
            await datasets.Find(dataset, cancel), "application/octet-stream", dataset.FileName, dataset.CreatedAt, new EntityTagHeaderValue($"\"{dataset.Sha256}\""), enableRangeProcessing: true);
    }
}
