namespace FineTuneService.Contracts;

/// <summary>Where a job stands. Each state says what moves a job out of it, and who does so if a process dies.</summary>
public enum JobStatus
{
    /// <summary>Not in the queue yet: it waits to be started, or for the jobs that it depends on. Left by start, when the last of these has succeeded, or by cancel.</summary>
    Waiting,

    /// <summary>Waits for a worker. Left when one takes it, or by cancel.</summary>
    Queued,

    /// <summary>A worker makes the run's folder and starts the trainer. A dead worker's job is taken by another once its lease has run out.</summary>
    Preparing,

    /// <summary>The trainer runs. A dead worker's job is taken by another, which continues from the last checkpoint.</summary>
    Running,

    /// <summary>An attempt was lost for a cause that can pass; the next one waits its turn in the queue.</summary>
    Retrying,

    /// <summary>Stopped on request with a checkpoint, and holds no device. Left by resume, which continues from there, or by cancel.</summary>
    Paused,

    /// <summary>Ended: the result can be downloaded.</summary>
    Succeeded,

    /// <summary>Ended: reason and faults say why and what to do. Left only by retry, which goes on from the last checkpoint.</summary>
    Failed,

    /// <summary>Ended on request; the last checkpoint stays. Left only by retry, which goes on from there.</summary>
    Cancelled,
}

/// <summary>The allowed moves between states; nothing else decides them.</summary>
public static class JobTransitions
{
    private static readonly Dictionary<JobStatus, JobStatus[]> Moves = new()
    {
        [JobStatus.Waiting] = [JobStatus.Queued, JobStatus.Failed, JobStatus.Cancelled],
        [JobStatus.Queued] = [JobStatus.Preparing, JobStatus.Paused, JobStatus.Cancelled, JobStatus.Failed],
        [JobStatus.Preparing] = [JobStatus.Preparing, JobStatus.Running, JobStatus.Retrying, JobStatus.Paused, JobStatus.Failed, JobStatus.Cancelled],
        [JobStatus.Running] = [JobStatus.Preparing, JobStatus.Retrying, JobStatus.Paused, JobStatus.Succeeded, JobStatus.Failed, JobStatus.Cancelled],
        [JobStatus.Retrying] = [JobStatus.Preparing, JobStatus.Paused, JobStatus.Failed, JobStatus.Cancelled],
        [JobStatus.Paused] = [JobStatus.Queued, JobStatus.Failed, JobStatus.Cancelled],
        [JobStatus.Succeeded] = [],
        [JobStatus.Failed] = [JobStatus.Queued],
        [JobStatus.Cancelled] = [JobStatus.Queued],
    };

    /// <summary>The states that <see cref="IsTerminal"/> tells, for queries.</summary>
    public static IReadOnlyList<JobStatus> Ended { get; } = [JobStatus.Succeeded, JobStatus.Failed, JobStatus.Cancelled];

    public static bool CanBecome(this JobStatus from, JobStatus to) => Moves[from].Contains(to);

    /// <summary>It has ended; a failed or cancelled one may be retried by hand.</summary>
    public static bool IsTerminal(this JobStatus status) => Ended.Contains(status);
}
