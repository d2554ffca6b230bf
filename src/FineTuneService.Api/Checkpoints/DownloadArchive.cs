using System.Formats.Tar;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Checkpoints;

public static class DownloadArchive
{
    /// <summary>Downloads a whole checkpoint as a tar archive of one folder.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="which">A step, <c>best</c> or <c>final</c>.</param>
    public static async Task<PushStreamHttpResult> Handle(string id, string which, FineTuneDb db, StorageSettings storage, HttpContext http, CancellationToken cancel)
    {
        var folder = await CheckpointFolder.Find(db, storage, id, which, cancel);
        var name = $"{id}-checkpoint-{folder.Checkpoint.Step}";
        // All are opened before the first byte is sent: a checkpoint that is deleted meanwhile still arrives whole.
        var files = new List<(string Name, FileStream Content)>();
        foreach (var file in folder.Files)
        {
            var content = file.OpenRead();
            http.Response.RegisterForDispose(content);
            files.Add(($"{name}/{folder.NameOf(file)}", content));
        }
        return TypedResults.Stream(body => Write(files, body, cancel), "application/x-tar", $"{name}.tar");
    }

    private static async Task Write(List<(string Name, FileStream Content)> files, Stream body, CancellationToken cancel)
    {
        await using var tar = new TarWriter(body, TarEntryFormat.Pax, leaveOpen: true);
        foreach (var (name, content) in files)
            await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = content, ModificationTime = File.GetLastWriteTimeUtc(content.SafeFileHandle) }, cancel);
    }
}
