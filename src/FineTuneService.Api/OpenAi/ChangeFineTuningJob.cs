using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.OpenAi;

public static class ChangeFineTuningJob
{
    /// <summary>Cancels a fine-tuning job. One that runs is told, and keeps its last checkpoint.</summary>
    /// <param name="id">The job's id.</param>
    public static Task<JsonHttpResult<FineTuningJob>> Cancel(string id, FineTuneDb db, JobRequests requests, TimeProvider clock, CancellationToken cancel) =>
        Ask(id, requests.Cancel, "cancelled", db, clock, cancel);

    /// <summary>Pauses a fine-tuning job. One that runs is told, writes a checkpoint and gives its device back.</summary>
    /// <param name="id">The job's id.</param>
    public static Task<JsonHttpResult<FineTuningJob>> Pause(string id, FineTuneDb db, JobRequests requests, TimeProvider clock, CancellationToken cancel) =>
        Ask(id, requests.Pause, "paused", db, clock, cancel);

    /// <summary>Lets a paused fine-tuning job go on from its last checkpoint.</summary>
    /// <param name="id">The job's id.</param>
    public static Task<JsonHttpResult<FineTuningJob>> Resume(string id, FineTuneDb db, JobRequests requests, TimeProvider clock, CancellationToken cancel) =>
        Ask(id, requests.Resume, "resumed", db, clock, cancel);

    private static async Task<JsonHttpResult<FineTuningJob>> Ask(
        string id, Func<string, CancellationToken, int?, Task<Job?>> request, string what, FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        var found = await db.FindFineTuningJob(id, cancel);
        if (await request(found.Id, cancel, null) is not { } job)
            throw ProblemException.Conflict($"The job is {FineTuningJob.StatusOf((await db.FindFineTuningJob(id, cancel)).Status)}, and so cannot be {what}.");
        return OpenAiJson.Answer((await ReadFineTuningJobs.View(db, [job], clock, cancel))[0]);
    }
}
