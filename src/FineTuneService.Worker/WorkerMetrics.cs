using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.Extensions.Options;

namespace FineTuneService.Worker;

/// <summary>The worker's instruments. Nothing is told by job: that would be a series for each job that ever was, and a job's own numbers are in the tables.</summary>
internal sealed class WorkerMetrics
{
    public const string Meter = "FineTuneService.Worker";

    private static readonly InstrumentAdvice<double> JobDurations = new() { HistogramBucketBoundaries = [10, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 259200] };

    private readonly ConcurrentDictionary<RunTelemetry, byte> _runs = new();
    private readonly Histogram<double> _durations;
    private readonly Counter<long> _lost;
    private readonly Counter<long> _steps;
    private readonly TimeProvider _clock;

    public WorkerMetrics(IMeterFactory meters, IOptions<WorkerSettings> options, TimeProvider clock)
    {
        _clock = clock;
        var meter = meters.Create(Meter);
        meter.CreateObservableGauge("finetune.worker.slots", () => options.Value.Slots, "{job}", "Jobs that this worker runs at the same time at most.");
        meter.CreateObservableGauge("finetune.worker.busy", () => Busy, "{job}", "Jobs that it runs.");
        meter.CreateObservableGauge("finetune.training.samples_per_second", () => _runs.Keys.Sum(run => run.SamplesPerSecond), "{sample}", "Training rows a second, of all its runs.");
        meter.CreateObservableGauge("finetune.event_pump.lag", () => _runs.Keys.Select(run => run.PumpLag(_clock.GetUtcNow())).DefaultIfEmpty().Max().TotalSeconds, "s", "How long the oldest event of its runs has waited for the database.");
        _steps = meter.CreateCounter<long>("finetune.training.steps", "{step}", "Optimizer steps that its runs have logged.");
        _durations = meter.CreateHistogram("finetune.job.duration", "s", "From a job's first attempt to its end, by how it ended.", advice: JobDurations);
        _lost = meter.CreateCounter<long>("finetune.attempts.lost", "{attempt}", "Attempts that did not come to their end, by cause.");
    }

    /// <summary>Jobs that run here.</summary>
    public int Busy => _runs.Count;

    public void Begin(RunTelemetry run) => _runs[run] = 0;

    public void End(RunTelemetry run) => _runs.TryRemove(run, out _);

    public void Count(int steps) => _steps.Add(steps);

    /// <summary>An attempt has come to its end.</summary>
    /// <param name="status">What the job is now.</param>
    public void Ended(Job job, JobStatus status)
    {
        foreach (var run in _runs.Keys.Where(run => run.IsOf(job)))
            run.Ended(status);
        if (status.IsTerminal() && job.StartedAt is { } started)
            _durations.Record((_clock.GetUtcNow() - started).TotalSeconds, new KeyValuePair<string, object?>("status", JsonNamingPolicy.SnakeCaseLower.ConvertName($"{status}")));
    }

    /// <param name="cause">Such as <c>out_of_memory</c>.</param>
    public void AttemptLost(string cause) => _lost.Add(1, new KeyValuePair<string, object?>("cause", cause));
}
