using System.Diagnostics;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Telemetry;

namespace FineTuneService.Worker;

/// <summary>
/// What an attempt shows to those who operate the service: its span in the job's trace, with a span for each phase that the log tells the end of, and its share of the worker's numbers.
/// The log has no beginnings: a phase begins where the one before ended, so that an evaluation's may have some of the steps before it.
/// </summary>
internal sealed class RunTelemetry : IDisposable
{
    private readonly Job _job;
    private readonly WorkerMetrics _metrics;
    private readonly Activity? _run;
    private DateTimeOffset _since;
    private DateTimeOffset? _lastLogged;
    private int _step;
    private long _waiting; // UTC ticks of the oldest event that the database has not got, 0 without one; read by another thread.

    public RunTelemetry(Job job, WorkerMetrics metrics, TimeProvider clock)
    {
        (_job, _metrics, _step, _since) = (job, metrics, job.Step, clock.GetUtcNow());
        _run = JobTrace.StartRun(job)?.SetTag("finetune.worker", RunJob.WorkerName);
        metrics.Begin(this);
    }

    public double SamplesPerSecond { get; private set; }

    public TimeSpan PumpLag(DateTimeOffset now) => Interlocked.Read(ref _waiting) is > 0 and var since ? TimeSpan.FromTicks(Math.Max(0, now.UtcTicks - since)) : TimeSpan.Zero;

    public bool IsOf(Job job) => ReferenceEquals(job, _job);

    /// <summary>These are to be brought into the database.</summary>
    public void Read(IReadOnlyList<LogLine> lines) => Interlocked.Exchange(ref _waiting, lines[0].Event.Time.UtcTicks);

    /// <summary>They are there.</summary>
    public void Written(IReadOnlyList<LogLine> lines)
    {
        Interlocked.Exchange(ref _waiting, 0);
        foreach (var line in lines.Where(line => line.Event.Attempt == _job.Attempt)) // The pump may bring in what an attempt before has left.
            See(line.Event);
    }

    /// <summary>How the attempt has ended.</summary>
    public void Ended(JobStatus status)
    {
        _run?.SetTag("finetune.job.status", status.ToString().ToLowerInvariant());
        if (status == JobStatus.Failed)
            _run?.SetStatus(ActivityStatusCode.Error);
    }

    public void Dispose()
    {
        _metrics.End(this);
        _run?.Dispose();
    }

    private void See(TrainingEvent happened)
    {
        switch (happened)
        {
            case RunStarted:
                EndPhase("load", happened.Time);
                _step = happened.Step;
                break;
            case StepLogged logged:
                _metrics.Count(Math.Max(0, logged.Step - _step));
                (_step, _lastLogged) = (logged.Step, logged.Time);
                SamplesPerSecond = logged.Metrics.GetValueOrDefault("samples_per_second", SamplesPerSecond);
                break;
            case Evaluated evaluated:
                EndSteps();
                EndPhase("evaluate", happened.Time, "finetune.split", evaluated.Split);
                break;
            case CheckpointSaved saved:
                EndSteps();
                EndPhase("save", happened.Time, "finetune.checkpoint.bytes", saved.Bytes);
                break;
            case RunSucceeded or RunFailed or RunStopped:
                EndSteps();
                EndPhase("end", happened.Time);
                break;
        }
    }

    private void EndSteps()
    {
        if (_lastLogged is { } last && last > _since)
            EndPhase("train", last);
        _lastLogged = null;
    }

    private void EndPhase(string name, DateTimeOffset end, string? tag = null, object? value = null)
    {
        using var phase = _run is null ? null : JobTrace.Source.StartActivity(name, ActivityKind.Internal, _run.Context, startTime: _since);
        phase?.SetTag("finetune.step", _step).SetEndTime(end.UtcDateTime);
        if (tag is not null)
            phase?.SetTag(tag, value);
        _since = end;
    }
}
