using System.Formats.Tar;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Checkpoints;

public static class DownloadArchive
{
    /// <summary>Downloads a whole checkpoint as a tar archive of one folder.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="which">A step, <c>best</c> or <c>final</c>.</param>
    /// <param name="merged">An adapter comes as a whole model, its base included. That is computed at the first request, which takes its time. Any other checkpoint is whole already.</param>
    public static async Task<PushStreamHttpResult> Handle(
        string id, string which, FineTuneDb db, CheckpointFiles files, MergedCheckpoints merges, HttpContext http, CancellationToken cancel, bool merged = false)
    {
        var folder = await CheckpointFolder.Find(db, files, id, which, cancel);
        var name = $"{id}-checkpoint-{folder.Checkpoint.Step}";
        if (merged && MergedCheckpoints.IsAdapter(folder.Path))
            (folder, name) = (new(folder.Checkpoint, await WholeModel(merges, files.Run(id), folder.Path, cancel)), name + "-merged");
        // All are opened before the first byte is sent: a checkpoint that is deleted meanwhile still arrives whole.
        var opened = new List<(string Name, FileStream Content)>();
        foreach (var file in folder.Files)
        {
            var content = file.OpenRead();
            http.Response.RegisterForDispose(content);
            opened.Add(($"{name}/{folder.NameOf(file)}", content));
        }
        return TypedResults.Stream(body => Write(opened, body, cancel), "application/x-tar", $"{name}.tar");
    }

    /// <exception cref="ProblemException">503 when the merge broke off.</exception>
    private static async Task<string> WholeModel(MergedCheckpoints merges, RunFolder run, string checkpoint, CancellationToken cancel)
    {
        try
        {
            return await merges.WholeModel(run, checkpoint, cancel);
        }
        catch (MergeLostException error)
        {
            throw new ProblemException(StatusCodes.Status503ServiceUnavailable, "The merge of the adapter with its base broke off; the service's log has its last words. Often memory is short: try again, or take the adapter as it is.", error);
        }
    }

    private static async Task Write(List<(string Name, FileStream Content)> files, Stream body, CancellationToken cancel)
    {
        await using var tar = new TarWriter(body, TarEntryFormat.Pax, leaveOpen: true);
        foreach (var (name, content) in files)
            await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = content, ModificationTime = File.GetLastWriteTimeUtc(content.SafeFileHandle) }, cancel);
    }
}
