using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

/// <summary>What users ask of a job's state. 200 when it is done, 202 when the job's worker is told; 409 when the job is in no state for it, 429 when its project may queue no more.</summary>
public static class MoveJob
{
    /// <summary>Cancels a job. One that waits ends at once (200); one that runs is told, and keeps its last checkpoint (202).</summary>
    /// <param name="id">The job's id.</param>
    public static Task<Results<Ok<JobView>, Accepted<JobView>>> Cancel(string id, HttpContext context, FineTuneDb db, JobRequests requests, CancellationToken cancel) =>
        Ask(id, context, db, requests.Cancel, JobStatus.Cancelled, "It has ended already.", cancel);

    /// <summary>Pauses a job. One that waits stops waiting at once (200); one that runs is told, writes a checkpoint and gives its device back (202).</summary>
    /// <param name="id">The job's id.</param>
    public static Task<Results<Ok<JobView>, Accepted<JobView>>> Pause(string id, HttpContext context, FineTuneDb db, JobRequests requests, CancellationToken cancel) =>
        Ask(id, context, db, requests.Pause, JobStatus.Paused, "Only one that waits for a worker or runs can be paused.", cancel);

    /// <summary>Puts a paused job into the queue again; it goes on exactly where it stopped.</summary>
    /// <param name="id">The job's id.</param>
    public static Task<Results<Ok<JobView>, Accepted<JobView>>> Resume(string id, HttpContext context, FineTuneDb db, JobRequests requests, TimeProvider clock, CancellationToken cancel) =>
        Queue(id, context, db, requests.Resume, "Only a paused one can be resumed.", clock, cancel);

    /// <summary>Puts a failed or cancelled job into the queue again; it goes on from its last checkpoint, with as many attempts and as much running time as a new one.</summary>
    /// <param name="id">The job's id.</param>
    public static Task<Results<Ok<JobView>, Accepted<JobView>>> Retry(string id, HttpContext context, FineTuneDb db, JobRequests requests, TimeProvider clock, CancellationToken cancel) =>
        Queue(id, context, db, requests.Retry, "Only a failed or cancelled one can be retried.", clock, cancel);

    /// <summary>Puts a job into the queue that was posted with <c>auto_start: false</c>.</summary>
    /// <param name="id">The job's id.</param>
    public static Task<Results<Ok<JobView>, Accepted<JobView>>> Start(string id, HttpContext context, FineTuneDb db, JobRequests requests, TimeProvider clock, CancellationToken cancel) =>
        Queue(id, context, db, requests.Start, "Only one that waits to be started can be started.", clock, cancel);

    private static async Task<Results<Ok<JobView>, Accepted<JobView>>> Queue(
        string id, HttpContext context, FineTuneDb db, Func<string, CancellationToken, int?, Task<Job?>> act, string unless, TimeProvider clock, CancellationToken cancel)
    {
        if ((await db.FindJob(id, cancel)).Deadline is { } deadline && deadline <= clock.GetUtcNow())
            throw ProblemException.Conflict($"Its deadline, {deadline:O}, has passed: it would fail at once. Give it a later one first: PATCH /jobs/{id}.");
        return await Ask(id, context, db, act, JobStatus.Queued, unless, cancel);
    }

    private static async Task<Results<Ok<JobView>, Accepted<JobView>>> Ask(
        string id, HttpContext context, FineTuneDb db, Func<string, CancellationToken, int?, Task<Job?>> act, JobStatus wanted, string unless, CancellationToken cancel)
    {
        await db.FindJob(id, cancel);
        if (await act(id, cancel, JobVersion.Meant(context.Request)) is not { } job)
            throw ProblemException.Conflict($"The job is {(await db.FindJob(id, cancel)).Status.ToString().ToLowerInvariant()}. {unless}");
        JobVersion.Tell(context.Response, job);
        return job.Status == wanted ? TypedResults.Ok(JobView.From(job)) : TypedResults.Accepted($"/jobs/{id}", JobView.From(job));
    }
}
