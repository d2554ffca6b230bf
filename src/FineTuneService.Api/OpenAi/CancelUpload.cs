using FineTuneService.Api.Uploads;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.OpenAi;

public static class CancelUpload
{
    /// <summary>Gives an upload up; its parts are deleted.</summary>
    /// <param name="id">The upload's id.</param>
    public static async Task<JsonHttpResult<OpenAiUpload>> Handle(string id, FineTuneDb db, StorageSettings storage, TimeProvider clock, CancellationToken cancel)
    {
        var upload = await db.FindPendingUpload(id, OpenAiFile.ForFineTuning, clock, cancel);
        await db.EndUpload(upload, UploadStatus.Cancelled, null, cancel);
        new UploadFolder(storage, id).Delete();
        upload.Status = UploadStatus.Cancelled;
        return OpenAiJson.Answer(OpenAiUpload.From(upload));
    }
}
