using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace FineTuneService.Api.Checkpoints;

public static class DownloadFile
{
    /// <summary>Downloads a file of a checkpoint; knows ranges, so that a broken download can go on, and entity tags.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="which">A step, <c>best</c> or <c>final</c>.</param>
    /// <param name="path">A path from the list of files.</param>
    public static async Task<PhysicalFileHttpResult> Handle(string id, string which, string path, FineTuneDb db, CheckpointFiles files, CancellationToken cancel)
    {
        var folder = await CheckpointFolder.Find(db, files, id, which, cancel);
        var file = folder.Files.FirstOrDefault(file => folder.NameOf(file) == path) ?? throw ProblemException.NotFound("file", path);
        return TypedResults.PhysicalFile(
            file.FullName, file.Extension == ".json" ? "application/json" : "application/octet-stream", file.Name,
            file.LastWriteTimeUtc, new EntityTagHeaderValue($"\"{file.Length:x}-{file.LastWriteTimeUtc.Ticks:x}\""), enableRangeProcessing: true);
    }
}
