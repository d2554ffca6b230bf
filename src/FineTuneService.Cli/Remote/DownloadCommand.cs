using System.CommandLine;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Remote;

/// <summary><c>finetune download JOB</c>: a checkpoint's folder, which goes on where an earlier download broke off.</summary>
internal static class DownloadCommand
{
    public static Command Create()
    {
        var job = RemoteVerb.Job();
        var checkpoint = new Option<string>("--checkpoint") { Description = "A step, best or final.", DefaultValueFactory = _ => "best" };
        var output = new Option<string?>("--output", "-o") { Description = "The folder to put it in. Default: JOB-CHECKPOINT, here." };
        return new Command("download", "Download a checkpoint of a service's job, as a folder that transformers opens.") { job, checkpoint, output }.Ask(async (parsed, client, cancel) =>
        {
            var (id, which) = (parsed.GetRequiredValue(job), parsed.GetRequiredValue(checkpoint));
            var folder = parsed.GetValue(output) ?? $"{id}-{which}";
            var bytes = (await client.ListCheckpointFilesAsync(id, which, cancel)).Data.Sum(file => file.Bytes);
            using (var progress = new TransferLine($"downloading {which}", bytes))
                await client.DownloadCheckpointAsync(id, which, folder, progress, cancel);
            Console.WriteLine(Path.GetFullPath(folder));
            return TrainerExit.Succeeded;
        });
    }
}
