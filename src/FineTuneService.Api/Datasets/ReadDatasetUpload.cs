using FineTuneService.Api.Uploads;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Datasets;

public static class ReadDatasetUpload
{
    /// <summary>Tells which parts of an upload are there: after a broken connection, send the others.</summary>
    /// <param name="id">The upload's id.</param>
    public static async Task<Ok<DatasetUploadView>> Handle(string id, FineTuneDb db, StorageSettings storage, TimeProvider clock, CancellationToken cancel)
    {
        var upload = await db.FindUpload(id, Upload.ForDataset, clock, cancel);
        return TypedResults.Ok(DatasetUploadView.From(upload, upload.Status == UploadStatus.Pending ? new UploadFolder(storage, id).Numbered() : []));
    }
}
