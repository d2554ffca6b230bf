using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

public static class CancelJob
{
    /// <summary>Cancels a job. One that waits ends at once (200); one that runs is told, and keeps its last checkpoint (202).</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<Results<Ok<JobView>, Accepted<JobView>>> Handle(string id, FineTuneDb db, JobRequests requests, CancellationToken cancel)
    {
        await db.FindJob(id, cancel);
        if (await requests.Cancel(id, cancel) is not { } job)
            throw ProblemException.Conflict($"The job has ended already: {(await db.FindJob(id, cancel)).Status.ToString().ToLowerInvariant()}.");
        return job.Status.IsTerminal() ? TypedResults.Ok(JobView.From(job)) : TypedResults.Accepted($"/jobs/{id}", JobView.From(job));
    }
}
