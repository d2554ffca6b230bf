using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using NpgsqlTypes;

namespace FineTuneService.Storage;

/// <summary>A line of a run's log, parsed, with the line itself.</summary>
public readonly record struct LogLine(TrainingEvent Event, string Json);

/// <summary>
/// Brings a run's log into the database: a pure function of the log, so any part may be replayed. One transaction a batch, under the job row's lock:
/// a stale attempt is refused, and lines that are in already are passed over, so each is in exactly once.
/// </summary>
public sealed partial class RunProjection(IDbContextFactory<FineTuneDb> databases)
{
    /// <param name="offset">Byte of the log after the last of <paramref name="lines"/>.</param>
    /// <param name="checkpointsFollow">What the lines tell of checkpoints waits until these are stored: see <see cref="ApplyCheckpoint"/>.</param>
    /// <returns>False when the job is no longer this attempt's.</returns>
    public async Task<bool> Apply(string jobId, int attempt, IReadOnlyList<LogLine> lines, long offset, CancellationToken cancel, bool checkpointsFollow = false)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await db.LockJob(jobId, cancel) is not { } job || job.Attempt != attempt)
            return false;
        var batch = new Batch(db, job, checkpointsFollow);
        foreach (var line in lines.Where(line => line.Event.Seq > job.LogSeq))
            await batch.Add(line, cancel);
        job.LogOffset = Math.Max(job.LogOffset, offset);
        await batch.Write(cancel);
        await db.Notify(jobId, cancel);
        await transaction.CommitAsync(cancel);
        return true;
    }

    /// <summary>Brings in what one line tells of checkpoints; any number of times.</summary>
    /// <returns>False when the job is no longer this attempt's.</returns>
    public async Task<bool> ApplyCheckpoint(string jobId, int attempt, TrainingEvent happened, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        if (await db.LockJob(jobId, cancel) is not { } job || job.Attempt != attempt)
            return false;
        await new CheckpointRows(db, job).Apply(happened, cancel);
        await db.SaveChangesAsync(cancel);
        await db.Notify(jobId, cancel);
        await transaction.CommitAsync(cancel);
        return true;
    }

    /// <summary>Before an attempt that begins a new log, because the machine that has the old one is another: its lines count on from <see cref="Job.LogSeq"/>.</summary>
    /// <returns>False when the job is no longer this attempt's.</returns>
    public async Task<bool> BeginLog(string jobId, int attempt, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        return await db.Jobs.Where(job => job.Id == jobId && job.Attempt == attempt).ExecuteUpdateAsync(row => row.SetProperty(job => job.LogOffset, 0), cancel) == 1;
    }

    private sealed partial class Batch(FineTuneDb db, Job job, bool checkpointsFollow)
    {
        private readonly CheckpointRows _checkpoints = new(db, job);
        private readonly List<Metric> _metrics = [];
        private readonly List<LogLine> _lines = [];
        private long _changedFrom = job.LogSeq + 1; // The first line whose numbers are not rolled up as they are now.

        public async Task Add(LogLine line, CancellationToken cancel)
        {
            _lines.Add(line);
            var happened = line.Event;
            job.LogSeq = happened.Seq;
            switch (happened)
            {
                case RunStarted started:
                    await Rewind(started, cancel);
                    break;
                case StepLogged logged:
                    AddMetrics(logged, logged.Metrics);
                    (job.Step, job.Epoch, job.EtaSeconds) = (logged.Step, logged.Epoch, logged.EtaSeconds);
                    if (logged.Metrics.TryGetValue(StepLogged.PeakMemory, out var peak))
                        job.PeakMemoryBytes = (long)peak;
                    job.SamplesPerSecond = logged.Metrics.TryGetValue("samples_per_second", out var pace) ? pace : job.SamplesPerSecond;
                    break;
                case Evaluated evaluated:
                    AddMetrics(evaluated, evaluated.Metrics);
                    break;
                case RunSucceeded succeeded:
                    (job.Step, job.Epoch) = (succeeded.FinalStep, succeeded.Epoch);
                    job.PeakMemoryBytes = succeeded.PeakMemoryBytes ?? job.PeakMemoryBytes;
                    (job.BestStep, job.BestMetricName, job.BestMetric) = (succeeded.BestStep, succeeded.BestMetricName, succeeded.BestMetric);
                    break;
            }
            if (!checkpointsFollow)
                await _checkpoints.Apply(happened, cancel);
        }

        public async Task Write(CancellationToken cancel)
        {
            await db.SaveChangesAsync(cancel);
            var connection = (NpgsqlConnection)db.Database.GetDbConnection();
            await using (var copy = await connection.BeginBinaryImportAsync($"COPY {FineTuneDb.Schema}.metrics (job_id, seq, name, step, epoch, value, time) FROM STDIN (FORMAT BINARY)", cancel))
            {
                foreach (var metric in _metrics)
                {
                    await copy.StartRowAsync(cancel);
                    await copy.WriteAsync(metric.JobId, NpgsqlDbType.Text, cancel);
                    await copy.WriteAsync(metric.Seq, NpgsqlDbType.Bigint, cancel);
                    await copy.WriteAsync(metric.Name, NpgsqlDbType.Text, cancel);
                    await copy.WriteAsync(metric.Step, NpgsqlDbType.Integer, cancel);
                    await copy.WriteAsync(metric.Epoch, NpgsqlDbType.Double, cancel);
                    await copy.WriteAsync(metric.Value, NpgsqlDbType.Double, cancel);
                    await copy.WriteAsync(metric.Time, NpgsqlDbType.TimestampTz, cancel);
                }
                await copy.CompleteAsync(cancel);
            }
            await MetricRollup.Write(db, job, _changedFrom, cancel);
            await using (var copy = await connection.BeginBinaryImportAsync($"COPY {FineTuneDb.Schema}.events (job_id, seq, type, time, data) FROM STDIN (FORMAT BINARY)", cancel))
            {
                foreach (var (happened, json) in _lines)
                {
                    using var document = JsonDocument.Parse(json);
                    await copy.StartRowAsync(cancel);
                    await copy.WriteAsync(job.Id, NpgsqlDbType.Text, cancel);
                    await copy.WriteAsync(happened.Seq, NpgsqlDbType.Bigint, cancel);
                    await copy.WriteAsync(document.RootElement.GetProperty("type").GetString()!, NpgsqlDbType.Text, cancel);
                    await copy.WriteAsync(happened.Time, NpgsqlDbType.TimestampTz, cancel);
                    await copy.WriteAsync(Nul().Replace(json, @"$1\ufffd"), NpgsqlDbType.Jsonb, cancel);
                }
                await copy.CompleteAsync(cancel);
            }
        }

        /// <summary>What an earlier attempt did beyond the step where this one begins is void.</summary>
        private async Task Rewind(RunStarted started, CancellationToken cancel)
        {
            _metrics.RemoveAll(metric => metric.Step > started.LastValidStep);
            var isVoid = db.Metrics.Where(metric => metric.JobId == job.Id && metric.Step > started.LastValidStep);
            if (await isVoid.MinAsync(metric => (long?)metric.Seq, cancel) is { } first)
            {
                _changedFrom = Math.Min(_changedFrom, first);
                await isVoid.ExecuteDeleteAsync(cancel);
                await db.MetricRollups.Where(rollup => rollup.JobId == job.Id && rollup.Bucket >= first / MetricRollup.Width).ExecuteDeleteAsync(cancel);
            }
            (job.Step, job.Epoch, job.TotalSteps) = (started.Step, started.Epoch, started.TotalSteps);
            (job.ForecastMemoryBytes, job.PeakMemoryBytes) = (started.ForecastMemoryBytes, null);
        }

        private void AddMetrics(TrainingEvent happened, IReadOnlyDictionary<string, double> metrics)
        {
            foreach (var (name, value) in metrics)
                _metrics.Add(new() { JobId = job.Id, Seq = happened.Seq, Name = name, Step = happened.Step, Epoch = happened.Epoch, Value = value, Time = happened.Time });
        }

        /// <summary>jsonb holds every character but this one, which a model may well say.</summary>
        [GeneratedRegex(@"(?<!\\)((?:\\\\)*)\\u0000")]
        private static partial Regex Nul();
    }
}
