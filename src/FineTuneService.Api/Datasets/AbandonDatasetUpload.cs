using FineTuneService.Api.Uploads;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Datasets;

public static class AbandonDatasetUpload
{
    /// <summary>Gives an upload up; its parts are deleted.</summary>
    /// <param name="id">The upload's id.</param>
    public static async Task<NoContent> Handle(string id, FineTuneDb db, StorageSettings storage, TimeProvider clock, CancellationToken cancel)
    {
        await db.EndUpload(await db.FindPendingUpload(id, Upload.ForDataset, clock, cancel), UploadStatus.Cancelled, null, cancel);
        new UploadFolder(storage, id).Delete();
        return TypedResults.NoContent();
    }
}
