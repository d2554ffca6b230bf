using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Datasets;

public static class CompleteDatasetUpload
{
    /// <summary>Makes a dataset of an upload's parts, by their numbers; the same as <c>POST /datasets</c> makes of a file. Asked again, it answers the same.</summary>
    /// <remarks>After a refusal the upload is still there: send the part that is missing or wrong, and complete it again.</remarks>
    /// <param name="id">The upload's id.</param>
    public static async Task<Created<DatasetView>> Handle(string id, FineTuneDb db, StorageSettings storage, FinishUpload finish, TimeProvider clock, CancellationToken cancel)
    {
        if (await db.FindUpload(id, Upload.ForDataset, clock, cancel) is { Status: UploadStatus.Completed, DatasetId: { } made })
            return Answer(await db.FindDataset(made, cancel));
        var upload = await db.FindPendingUpload(id, Upload.ForDataset, clock, cancel);
        var parts = new UploadFolder(storage, id).Numbered();
        if (parts.Sum(part => part.Bytes) is var bytes && bytes != upload.Bytes)
            throw new FaultException("parts", null, $"The parts that are there have {bytes} bytes, and the upload was to have {upload.Bytes}.", "Send what GET of the upload does not show.");
        return Answer(await finish.Publish(upload, parts.Select(part => UploadFolder.Name(part.Number)), sums => Compare(upload.Sha256, sums.Sha256), cancel));
    }

    private static Created<DatasetView> Answer(Dataset dataset) => TypedResults.Created($"/datasets/{dataset.Id}", DatasetView.From(dataset));

    private static void Compare(string? expected, string sha256)
    {
        if (expected is not null && expected != sha256)
            throw new FaultException("sha256", expected, $"The parts make a file with another checksum, {sha256}.", "Send the parts again that were damaged, with a Content-Digest each, or under their right numbers.");
    }
}
