using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Exports;

public static class DownloadWandb
{
    // Of wandb_internal.proto's Record.
    private const int History = 2, Summary = 3, Run = 17, Exit = 18, Header = 21, Footer = 22;

    /// <summary>Downloads a job as an offline run of Weights &amp; Biases: a tar archive of a folder for <c>wandb sync</c>, with its numbers and its specification.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<PushStreamHttpResult> Handle(string id, FineTuneDb db, CancellationToken cancel)
    {
        var job = await db.FindJob(id, cancel);
        var run = RunId(job);
        var path = string.Create(CultureInfo.InvariantCulture, $"offline-run-{job.CreatedAt.UtcDateTime:yyyyMMdd_HHmmss}-{run}/run-{run}.wandb");
        return TypedResults.Stream(body => OneFileArchive.Write(body, path, job.CreatedAt, file => WriteLog(job, LogLine.Of(db, id, cancel), file), cancel), "application/x-tar", $"{id}-wandb.tar");
    }

    private static async Task WriteLog(Job job, IAsyncEnumerable<LogLine> lines, Stream file)
    {
        var log = new WandbLog(file);
        await log.Begin();
        await log.Write(Header, new());
        await log.Write(Run, Description(job));
        var last = new Dictionary<string, string>();
        var step = new List<LogLine>();
        await foreach (var line in lines)
        {
            if (step.Count > 0 && step[0].Step != line.Step)
                await Tell();
            step.Add(line);
        }
        if (step.Count > 0)
            await Tell();
        await log.Write(Summary, Items(last));
        if (job.FinishedAt is not null)
            await log.Write(Exit, new ProtobufMessage().Integer(1, job.Status == JobStatus.Succeeded ? 0 : 1).Integer(2, (long)job.RunSeconds));
        await log.Write(Footer, new());
        await file.FlushAsync();

        // A run there has one row a step, and rows only forwards: of training, then of its evaluation.
        async Task Tell()
        {
            var row = step.SelectMany(line => line.Metrics).ToDictionary(metric => metric.Name, metric => Number(metric.Value));
            row["_step"] = Number(step[0].Step);
            row["_timestamp"] = Number(step[^1].Time.ToUnixTimeMilliseconds() / 1e3);
            row["_runtime"] = Number((step[^1].Time - (job.StartedAt ?? job.CreatedAt)).TotalSeconds);
            foreach (var (name, value) in row)
                last[name] = value;
            await log.Write(History, Items(row).Message(2, new ProtobufMessage().Integer(1, step[0].Step)));
            step.Clear();
        }
    }

    private static ProtobufMessage Description(Job job)
    {
        var config = JsonNode.Parse(job.Spec)!.AsObject().Where(member => member.Value is not null).ToDictionary(member => member.Key, member => member.Value!.ToJsonString());
        var started = job.StartedAt ?? job.CreatedAt;
        return new ProtobufMessage().Text(1, RunId(job)).Message(4, Items(config)).Text(8, job.Name ?? job.Id)
            .Message(17, new ProtobufMessage().Integer(1, started.ToUnixTimeSeconds()).Integer(2, started.Millisecond * 1_000_000));
    }

    /// <summary>HistoryRecord, SummaryRecord and ConfigRecord alike: pairs of a name and JSON.</summary>
    private static ProtobufMessage Items(Dictionary<string, string> values) =>
        values.Aggregate(new ProtobufMessage(), (items, pair) => items.Message(1, new ProtobufMessage().Text(1, pair.Key).Text(16, pair.Value)));

    private static string RunId(Job job) => job.Id[(job.Id.IndexOf('_', StringComparison.Ordinal) + 1)..];

    /// <summary>JSON has no word for what is not finite; wandb writes it as a text.</summary>
    private static string Number(double value) => double.IsFinite(value) ? JsonSerializer.Serialize(value) : double.IsNaN(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
}
