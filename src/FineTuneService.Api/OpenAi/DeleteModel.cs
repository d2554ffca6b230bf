using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

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
        await CheckUnused(db, job.Id, cancel);

        await deletion.DeleteCheckpoints(job.Id, ModelName.Parse(name)!.Step is null ? null : named.Step, cancel);
        return OpenAiJson.Answer(new OpenAiDeleted(name, "model"));
    }

    /// <summary>An adapter needs its base as long as it lives, so even an ended job counts.</summary>
    private static async Task CheckUnused(FineTuneDb db, string jobId, CancellationToken cancel)
    {
        var name = new CheckpointName(jobId, null).ToString();
        var pattern = name + "@%";
        var user = await db.Jobs.FromSql($"SELECT * FROM finetune.jobs WHERE spec->>'base_model' = {name} OR spec->>'base_model' LIKE {pattern} OR spec->'method'->>'adapter' = {name} OR spec->'method'->>'adapter' LIKE {pattern}")
            .OrderBy(job => job.Id).Select(job => job.Id).FirstOrDefaultAsync(cancel);
        if (user is not null)
            throw ProblemException.Conflict($"The job '{OpenAiIds.Job(user)}' started from this model.");
    }
}
