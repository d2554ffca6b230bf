using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

public static class DeleteJob
{
    /// <summary>Deletes a job that has ended, with its checkpoints, metrics, events and files. Nothing of it can be had back.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<NoContent> Handle(string id, HttpRequest request, FineTuneDb db, JobDeletion deletion, CancellationToken cancel)
    {
        var job = await db.FindJob(id, cancel);
        if (JobVersion.Meant(request) is { } version && version != job.Version)
            throw new StaleVersionException(job.Version);
        if (await JobUsers.Of(db, id, cancel) is { } user)
            throw ProblemException.Conflict($"'{user}' has not ended, and starts from this one or waits for it.");
        if (!await deletion.Delete(id, cancel))
            throw ProblemException.Conflict("The job has not ended. Cancel it first.");
        return TypedResults.NoContent();
    }
}
