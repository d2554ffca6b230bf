using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace FineTuneService.Worker.Sinks;

/// <summary>
/// Tells an MLflow server of jobs with <c>report_to: mlflow</c>, from the rows in the database: no run knows of it, and none waits for it.
/// How far a job has been told is written on MLflow's side, as a tag of its run, with the numbers themselves: a server that was away, and a worker that died, are caught up with.
/// </summary>
internal sealed partial class ReportToMlflow(IHttpClientFactory http, MlflowSettings settings, IDbContextFactory<FineTuneDb> databases, NpgsqlDataSource database, TimeProvider clock, ILogger<ReportToMlflow> log)
    : PeriodicService(settings.Interval, clock)
{
    public const string Name = "mlflow";

    private const string JobTag = "finetune.job_id", SeqTag = "finetune.seq", VersionTag = "finetune.version";
    private const int BatchMetrics = 800, BatchParameters = 90, LongestParameter = 500, LongestKey = 250;
    private const int Lock = 0x46_54_4e; // Of this service's advisory locks, the one of the worker that reports.

    private readonly TimeProvider _clock = clock;
    private readonly HashSet<(string Id, int Version)> _told = [];
    private bool _wasAway;

    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            await using var alone = await database.OpenConnectionAsync(cancel);
            if (!await Holds($"SELECT pg_try_advisory_lock({Lock})", alone, cancel))
                return;
            try
            {
                await TellAll(cancel);
            }
            finally
            {
                await Holds($"SELECT pg_advisory_unlock({Lock})", alone, CancellationToken.None);
            }
            _wasAway = false;
        }
        catch (Exception error) when (!cancel.IsCancellationRequested) // Whatever stands at that address may answer anything, and runs are not to end for it.
        {
            if (!_wasAway)
                log.LogWarning("MLflow cannot be told at present, and will be: {Error}", error.GetBaseException().Message);
            _wasAway = true;
        }
    }

    private async Task TellAll(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var since = _clock.GetUtcNow() - settings.GiveUpAfter;
        var jobs = await db.Jobs.FromSql($$"""
            SELECT * FROM finetune.jobs WHERE started_at IS NOT NULL AND (finished_at IS NULL OR finished_at > {{since}})
                AND (spec #> '{training,report_to}' @> '"mlflow"' OR spec #> '{training,report_to}' @> '["mlflow"]')
            """).AsNoTracking().OrderBy(job => job.Id).ToListAsync(cancel);
        _told.RemoveWhere(told => jobs.All(job => job.Id != told.Id));
        if (jobs.All(job => _told.Contains((job.Id, job.Version))))
            return;
        var client = new MlflowClient(http.CreateClient(Name), settings);
        foreach (var job in jobs.Where(job => !_told.Contains((job.Id, job.Version))))
        {
            var isTold = job.Status.IsTerminal();
            try
            {
                await Tell(client, db, job, cancel);
            }
            catch (HttpRequestException error) when (error.StatusCode == HttpStatusCode.BadRequest)
            {
                log.LogWarning("Job {JobId}: MLflow refuses it: {Error}", job.Id, error.Message);
                isTold = true; // The other jobs are not to suffer for it.
            }
            if (isTold)
                _told.Add((job.Id, job.Version));
        }
    }

    private async Task Tell(MlflowClient client, FineTuneDb db, Job job, CancellationToken cancel)
    {
        var project = settings.Experiment ?? await db.Projects.Where(project => project.Id == job.ProjectId).Select(project => project.Name).SingleAsync(cancel);
        var experiment = await client.EnsureExperiment(project, cancel);
        var run = await client.FindRun(experiment, JobTag, job.Id, cancel)
            ?? await client.CreateRun(experiment, job.Name ?? job.Id, job.StartedAt ?? job.CreatedAt, [new(JobTag, job.Id), new("mlflow.user", project), new("mlflow.source.name", "FineTuneService")], cancel);
        var version = job.Version.ToString(CultureInfo.InvariantCulture);
        if (run.Tag(SeqTag) is null)
            await TellParameters(client, run, job, cancel);
        else if (run.Tag(VersionTag) == version && job.Status.IsTerminal())
            return;
        await TellMetrics(client, db, run, job.Id, long.Parse(run.Tag(SeqTag) ?? "0", CultureInfo.InvariantCulture), cancel);
        if (job.Status.IsTerminal())
        {
            await client.Update(run.Info.RunId, job.Status switch { JobStatus.Succeeded => "FINISHED", JobStatus.Cancelled => "KILLED", _ => "FAILED" }, job.FinishedAt, cancel);
            await client.LogBatch(run.Info.RunId, [], [], [new(VersionTag, version)], cancel);
        }
        else if (run.Info.Status is not "RUNNING")
            await client.Update(run.Info.RunId, "RUNNING", null, cancel); // It was retried.
    }

    private static async Task TellParameters(MlflowClient client, MlflowRun run, Job job, CancellationToken cancel)
    {
        foreach (var some in JsonLeaves.Of(JsonNode.Parse(job.Spec)).SelectMany(leaf => Parameter(leaf.Name, leaf.Value)).DistinctBy(parameter => parameter.Key).Chunk(BatchParameters))
            await client.LogBatch(run.Info.RunId, [], some, [], cancel);
        await client.LogBatch(run.Info.RunId, [], [], [new(SeqTag, "0")], cancel);
    }

    private static async Task TellMetrics(MlflowClient client, FineTuneDb db, MlflowRun run, string jobId, long seq, CancellationToken cancel)
    {
        while (true)
        {
            var metrics = await db.Metrics.AsNoTracking().Where(metric => metric.JobId == jobId && metric.Seq > seq).OrderBy(metric => metric.Seq).Take(BatchMetrics + 1).ToListAsync(cancel);
            if (metrics.Count > BatchMetrics)
                metrics.RemoveAll(metric => metric.Seq == metrics[^1].Seq); // A line of the log is told as a whole.
            if (metrics.Count == 0)
                return;
            seq = metrics[^1].Seq;
            await client.LogBatch(run.Info.RunId, metrics.Select(metric => new MlflowMetric(KeyOf(metric.Name), metric.Value, metric.Time.ToUnixTimeMilliseconds(), metric.Step)), [], [new(SeqTag, seq.ToString(CultureInfo.InvariantCulture))], cancel);
        }
    }

    /// <summary>One without a value is refused there.</summary>
    private static IEnumerable<MlflowPair> Parameter(string name, JsonNode value) =>
        (value is JsonArray ? value.ToJsonString() : value.ToString()) is { Length: > 0 } text ? [new(KeyOf(name), text.Length > LongestParameter ? text[..LongestParameter] : text)] : [];

    /// <summary>MLflow's names (mlflow/utils/validation.py): of these characters alone, and nothing that a path would shorten.</summary>
    private static string KeyOf(string name)
    {
        var key = Foreign().Replace(name, "_");
        return key.Length > LongestKey ? key[..LongestKey] : key;
    }

    [GeneratedRegex(@"[^\w.\- /]|//+|(?<=^|/)\.+(?=/|$)|^/|/$")]
    private static partial Regex Foreign();

    private static async Task<bool> Holds(string question, NpgsqlConnection connection, CancellationToken cancel)
    {
        await using var command = new NpgsqlCommand(question, connection);
        return await command.ExecuteScalarAsync(cancel) is true;
    }
}
