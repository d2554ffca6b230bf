using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Storage;

/// <summary>
/// What users ask of a job. A waiting one does it at once; a running one is asked, and does it when its worker hears of it.
/// Each answers with the job as it is now, or null when there is none, or it is in no state for it.
/// Whoever gives a version means the job as it was then: once it has another, <see cref="StaleVersionException"/>.
/// </summary>
public sealed class JobRequests(JobStates states, JobQueue queue, TimeProvider clock)
{
    /// <summary>Asks for its end.</summary>
    public Task<Job?> Cancel(string jobId, CancellationToken cancel, int? version = null) => states.OnLocked(jobId, (db, job) =>
    {
        Expect(version, job);
        if (job.Status.IsTerminal())
            return null;
        job.CancelRequestedAt ??= clock.GetUtcNow();
        if (job.Status is not (JobStatus.Preparing or JobStatus.Running))
            states.Move(db, job, JobStatus.Cancelled, "Cancelled on request.");
        return job;
    }, cancel);

    /// <summary>Asks it to stop with a checkpoint and to give its device back.</summary>
    public Task<Job?> Pause(string jobId, CancellationToken cancel, int? version = null) => states.OnLocked(jobId, (db, job) =>
    {
        Expect(version, job);
        if (!job.Status.CanBecome(JobStatus.Paused) || job.CancelRequestedAt is not null)
            return null;
        job.PauseRequestedAt ??= clock.GetUtcNow();
        if (job.Status is JobStatus.Queued or JobStatus.Retrying)
            states.Move(db, job, JobStatus.Paused, "Paused on request.");
        return job;
    }, cancel);

    /// <summary>Puts a paused job into the queue again; it goes on from its last checkpoint.</summary>
    public Task<Job?> Resume(string jobId, CancellationToken cancel, int? version = null) => Queue(jobId, version, job => job.Status == JobStatus.Paused, "Resumed on request.", cancel);

    /// <summary>Puts a failed or cancelled job into the queue again; it goes on from its last checkpoint, with as many attempts and as much running time as a new one.</summary>
    public Task<Job?> Retry(string jobId, CancellationToken cancel, int? version = null) => Queue(jobId, version, job => job.Status is JobStatus.Failed or JobStatus.Cancelled, "Retried on request.", cancel, GiveTime);

    /// <summary>Puts a job into the queue that waits to be started.</summary>
    public Task<Job?> Start(string jobId, CancellationToken cancel, int? version = null) => Queue(jobId, version, job => job.Status == JobStatus.Waiting && job.DependsOn.Length == 0, null, cancel);

    /// <summary>Changes what may be changed of a job, ended or not.</summary>
    public Task<Job?> Edit(string jobId, Action<Job> edit, CancellationToken cancel, int? version = null) => states.OnLocked(jobId, (_, job) =>
    {
        Expect(version, job);
        edit(job);
        job.Version++;
        return job;
    }, cancel);

    private static void Expect(int? version, Job job)
    {
        if (version is not null && version != job.Version)
            throw new StaleVersionException(job.Version);
    }

    private static void GiveTime(Job job) => job.MaxRuntimeSeconds = job.RunSeconds + NewJob.SchedulingIn(JsonNode.Parse(job.Spec)!).MaxRuntimeSeconds;

    /// <exception cref="QuotaException">When its project may queue no more.</exception>
    private async Task<Job?> Queue(string jobId, int? version, Func<Job, bool> isInState, string? reason, CancellationToken cancel, Action<Job>? renew = null)
    {
        var queued = await states.OnLocked(jobId, async (db, job) =>
        {
            Expect(version, job);
            if (!isInState(job))
                return null;
            await JobQuota.Check(db, job.ProjectId, counted: job.Status == JobStatus.Waiting ? 1 : 0, clock.GetUtcNow(), cancel);
            (job.CancelRequestedAt, job.PauseRequestedAt, job.FinishedAt, job.Faults) = (null, null, null, null);
            job.ForgivenAttempts = job.Attempt;
            renew?.Invoke(job);
            states.Move(db, job, JobStatus.Queued, reason);
            return job;
        }, cancel);
        // If we die before this: workers look for jobs that wait without a ticket.
        if (queued is not null)
            queue.AddTicket(queued.Requires, TimeSpan.Zero);
        return queued;
    }
}

/// <summary>The job has another version than the one that was meant.</summary>
public sealed class StaleVersionException(int version) : Exception($"The job has version {version} by now.")
{
    public int Version => version;
}
