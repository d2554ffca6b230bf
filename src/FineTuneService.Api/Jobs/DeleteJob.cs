using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

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
        if (await UserOf(id, db, cancel) is { } user)
            throw ProblemException.Conflict($"The job '{user}' has not ended, and starts from this one or waits for it.");
        if (!await deletion.Delete(id, cancel))
            throw ProblemException.Conflict("The job has not ended. Cancel it first.");
        return TypedResults.NoContent();
    }

    private static async Task<string?> UserOf(string id, FineTuneDb db, CancellationToken cancel)
    {
        var name = $"job:{id}";
        return await db.Jobs
            .FromSql($"SELECT * FROM finetune.jobs WHERE {id} = ANY (depends_on) OR split_part(spec->>'base_model', '@', 1) = {name} OR split_part(spec->'method'->>'adapter', '@', 1) = {name}")
            .Where(job => !JobTransitions.Ended.Contains(job.Status))
            .OrderBy(job => job.Id).Select(job => job.Id).FirstOrDefaultAsync(cancel);
    }
}
