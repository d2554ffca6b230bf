using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Client;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Remote;

/// <summary><c>finetune submit SPEC</c>: posts a job, with the files that it learns from.</summary>
internal static class SubmitCommand
{
    public static Command Create()
    {
        var spec = new Argument<FileInfo>("spec") { Description = "The job's specification, as POST /jobs takes it." };
        var files = new Option<FileInfo[]>("--dataset")
        {
            Description = "A file to upload, unless the service has the very same. The specification names it by its path as given here; one that nothing names is what is learnt from.",
            AllowMultipleArgumentsPerToken = true,
        };
        var watch = new Option<bool>("--watch") { Description = "Follow it, as finetune watch does." };
        return new Command("submit", "Post a job to a service.") { spec, files, watch }.Ask(async (parsed, client, cancel) =>
        {
            var body = Read(parsed.GetRequiredValue(spec));
            foreach (var file in parsed.GetValue(files) ?? [])
                Place(body, file, await Upload(client, file, cancel));
            var job = await client.CreateJobAsync(body.ToJsonString(), cancel);
            Console.WriteLine(job.Id);
            return parsed.GetValue(watch) ? await JobWatch.Follow(client, job.Id, cancel) : TrainerExit.Succeeded;
        });
    }

    private static JsonObject Read(FileInfo file)
    {
        if (!file.Exists)
            throw new FaultException("spec", file.ToString(), "There is no such file.", "Give the path of a job's specification.");
        try
        {
            return JsonNode.Parse(File.ReadAllText(file.FullName), documentOptions: new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true }) as JsonObject
                ?? throw new FaultException(file.ToString(), null, "This is no JSON object.", "Write a specification as POST /jobs takes it.");
        }
        catch (JsonException error)
        {
            throw new FaultException($"{file}:{error.LineNumber + 1}", null, $"This is no JSON: {error.Message}", "Mend this line.");
        }
    }

    /// <summary>Puts an id where the specification names the file, by its path or, as the samples do, by <c>${path}</c>.</summary>
    private static void Place(JsonObject body, FileInfo file, string id)
    {
        var dataset = body["dataset"] as JsonObject ?? [];
        var named = NamedDatasets.In(dataset).Where(value => value.TryGetValue<string>(out var name) && Names(name, file)).ToList();
        if (named.Count == 0 && dataset["train"] is not null)
            throw new FaultException("--dataset", file.ToString(), "The specification does not name this file.", "Name it in /dataset/train, validation, test, replay or earlier by the path that is given here.");
        if (named.Count == 0)
            dataset["train"] = id;
        foreach (var value in named)
            value.ReplaceWith(id);
        body["dataset"] = dataset.Parent is null ? dataset : body["dataset"];
    }

    private static bool Names(string name, FileInfo file)
    {
        var path = name.StartsWith("${", StringComparison.Ordinal) && name.EndsWith('}') ? name[2..^1] : name;
        return path == file.ToString() || file.ToString().EndsWith($"/{path}", StringComparison.Ordinal);
    }

    private static async Task<string> Upload(FineTuneClient client, FileInfo file, CancellationToken cancel)
    {
        if (!file.Exists)
            throw new FaultException("--dataset", file.ToString(), "There is no such file.", "Give the path of a csv, tsv, jsonl or parquet file.");
        await using (var content = file.OpenRead())
        {
            var sha256 = Convert.ToHexStringLower(await SHA256.HashDataAsync(content, cancel));
            if ((await client.ListDatasetsAsync(cancellationToken: cancel)).Data.FirstOrDefault(dataset => dataset.Sha256 == sha256) is { } known)
                return known.Id;
        }
        using var progress = new TransferLine($"uploading {file.Name}", file.Length);
        return (await client.UploadDatasetAsync(file.FullName, file.Name, progress, cancel)).Id;
    }
}
