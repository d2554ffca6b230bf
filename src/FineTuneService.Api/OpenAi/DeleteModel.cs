using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.OpenAi;

public static class DeleteModel
{
    /// <summary>Deletes what a job has made: all its checkpoints, or the one that is named. The job itself stays.</summary>
    /// <param name="model">The model's name.</param>
    public static async Task<JsonHttpResult<OpenAiDeleted>> Handle(string model, FineTuneDb db, FindModel models, JobDeletion deletion, CancellationToken cancel)
    {
        var name = ReadModels.NameIn(model);
        var found = await models.Find(name, cancel);
        if (found is not { Job: { } job, Checkpoint: { } named })
            throw new ProblemException(StatusCodes.Status403Forbidden, "Base models belong to everybody; only what a job has made can be deleted.");
        if (!job.Status.IsTerminal())
            throw ProblemException.Conflict("The job goes on from its checkpoints. Cancel it first, or wait for its end.");
        if (await JobUsers.Of(db, job.Id, cancel) is { } user)
            throw ProblemException.Conflict($"'{OpenAiIds.JobOrOther(user)}' has not ended, and starts from this model or waits for its job.");
        await deletion.DeleteCheckpoints(job.Id, ModelName.Parse(name)!.Step is null ? null : named.Step, cancel);
        return OpenAiJson.Answer(new OpenAiDeleted(name, "model"));
    }
}
