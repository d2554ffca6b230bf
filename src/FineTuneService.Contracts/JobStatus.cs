namespace FineTuneService.Contracts;

/// <summary>Where a job stands. Each state says what moves a job out of it, and who does so if a process dies.</summary>
public enum JobStatus
{
    /// <summary>Waits for a worker. Left when one takes it, or by cancel.</summary>
    Queued,

    /// <summary>A worker makes the run's folder and starts the trainer. A dead worker's job is taken by another once its lease has run out.</summary>
    Preparing,

    /// <summary>The trainer runs. A dead worker's job is taken by another, which continues from the last checkpoint.</summary>
    Running,

    /// <summary>An attempt was lost for a cause that can pass; the next one waits its turn in the queue.</summary>
    Retrying,

    /// <summary>Ended: the result can be downloaded.</summary>
    Succeeded,

    /// <summary>Ended: reason and faults say why and what to do.</summary>
    Failed,

    /// <summary>Ended on request; the last checkpoint stays.</summary>
    Cancelled,
}

/// <summary>The allowed moves between states; nothing else decides them.</summary>
public static class JobTransitions
{
    private static readonly Dictionary<JobStatus, JobStatus[]> Moves = new()
    {
        [JobStatus.Queued] = [JobStatus.Preparing, JobStatus.Cancelled, JobStatus.Failed],
        [JobStatus.Preparing] = [JobStatus.Preparing, JobStatus.Running, JobStatus.Retrying, JobStatus.Failed, JobStatus.Cancelled],
        [JobStatus.Running] = [JobStatus.Preparing, JobStatus.Retrying, JobStatus.Succeeded, JobStatus.Failed, JobStatus.Cancelled],
        [JobStatus.Retrying] = [JobStatus.Preparing, JobStatus.Failed, JobStatus.Cancelled],
        [JobStatus.Succeeded] = [],
        [JobStatus.Failed] = [],
        [JobStatus.Cancelled] = [],
    };

    public static bool CanBecome(this JobStatus from, JobStatus to) => Moves[from].Contains(to);

    public static bool IsTerminal(this JobStatus status) => Moves[status].Length == 0;
}
