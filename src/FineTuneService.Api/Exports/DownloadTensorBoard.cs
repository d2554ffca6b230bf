using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Exports;

public static class DownloadTensorBoard
{
    /// <summary>Downloads a job as TensorBoard reads it: a tar archive of one run's folder with its numbers, hyperparameters and specification.</summary>
    /// <remarks>Unpack several beside each other and start <c>tensorboard --logdir .</c> there, to compare them.</remarks>
    /// <param name="id">The job's id.</param>
    public static async Task<PushStreamHttpResult> Handle(string id, FineTuneDb db, CancellationToken cancel)
    {
        var job = await db.FindJob(id, cancel);
        var path = $"{id}/events.out.tfevents.{job.CreatedAt.ToUnixTimeSeconds()}.finetune";
        return TypedResults.Stream(body => OneFileArchive.Write(body, path, job.CreatedAt, file => WriteEvents(job, LogLine.Of(db, id, cancel), file), cancel), "application/x-tar", $"{id}-tensorboard.tar");
    }

    private static async Task WriteEvents(Job job, IAsyncEnumerable<LogLine> lines, Stream file)
    {
        var events = new TensorBoardEvents(file);
        await events.Begin(job.CreatedAt);
        var spec = JsonNode.Parse(job.Spec)!;
        await events.Text(job.CreatedAt, "specification", $"```json\n{spec.ToJsonString(SnakeCaseJson.Indented)}\n```");
        await events.Hyperparameters(job.StartedAt ?? job.CreatedAt, JsonLeaves.Of(spec).Select(leaf => (leaf.Name, ValueOf(leaf.Value))));
        await foreach (var line in lines)
            await events.Scalars(line.Time, line.Step, line.Metrics.Select(metric => (Tag(metric.Name), metric.Value)));
        if (job.FinishedAt is { } finished)
            await events.End(finished, job.Status == JobStatus.Succeeded);
        await file.FlushAsync();
    }

    /// <summary>As transformers names them, which TensorBoard then shows in groups.</summary>
    private static string Tag(string name) =>
        name.StartsWith("eval_", StringComparison.Ordinal) ? $"eval/{name[5..]}" : name.StartsWith("test_", StringComparison.Ordinal) ? $"test/{name[5..]}" : $"train/{name}";

    private static object ValueOf(JsonNode leaf) => leaf.GetValueKind() switch
    {
        JsonValueKind.Number => leaf.GetValue<double>(),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Array => leaf.ToJsonString(),
        _ => leaf.ToString(),
    };
}
