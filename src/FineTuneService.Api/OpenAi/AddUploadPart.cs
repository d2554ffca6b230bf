using FineTuneService.Api.Paging;
using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

public static class AddUploadPart
{
    private const long MostBytes = 64 << 20; // OpenAI's.

    /// <summary>Adds a part of at most 64 MiB to an upload, as a multipart form with <c>data</c>. Parts may come at the same time; their order is told at the end.</summary>
    /// <param name="id">The upload's id.</param>
    public static async Task<JsonHttpResult<OpenAiUploadPart>> Handle(string id, HttpRequest request, FineTuneDb db, StorageSettings storage, TimeProvider clock, CancellationToken cancel)
    {
        var upload = await db.FindPendingUpload(id, OpenAiFile.ForFineTuning, clock, cancel);
        // Twice as much as the file: a part whose answer was lost is sent again.
        var left = 2 * upload.Bytes - await db.UploadParts.Where(part => part.UploadId == id).SumAsync(part => part.Bytes, cancel);
        if (left <= 0)
            throw new FaultException("/data", null, $"The parts have twice the {upload.Bytes} bytes of the file already.", "Complete the upload, or begin another.");
        var (folder, partId, bytes) = (new UploadFolder(storage, id), Ids.NewPart(), 0L);
        try
        {
            await UploadForm.Read(request, _ => folder.Create(partId), Math.Min(MostBytes, left), cancel, "data");
            await using (var written = folder.Open(partId))
                bytes = written.Length;
            var row = new UploadPart { Id = partId, UploadId = id, Bytes = bytes, CreatedAt = clock.GetMicrosecondsNow() };
            db.UploadParts.Add(row);
            await db.SaveChangesAsync(cancel);
            return OpenAiJson.Answer(new OpenAiUploadPart(partId, row.CreatedAt.ToUnixTimeSeconds(), id));
        }
        catch
        {
            folder.Delete(partId);
            throw;
        }
    }
}
