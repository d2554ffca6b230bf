using FineTuneService.Api.Datasets;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.OpenAi;

/// <summary>What was deleted.</summary>
/// <param name="Object"><c>file</c> or <c>model</c>.</param>
public sealed record OpenAiDeleted(string Id, string Object)
{
    public bool Deleted => true;
}

public static class DeleteFile
{
    /// <summary>Deletes a file that no job uses.</summary>
    /// <param name="id">The file's id.</param>
    public static async Task<JsonHttpResult<OpenAiDeleted>> Handle(string id, FineTuneDb db, DatasetFiles datasets, CancellationToken cancel)
    {
        if (OpenAiIds.IsResults(id))
        {
            await ReadFiles.Get(id, db, cancel);
            throw ProblemException.Conflict("The results of a job are a part of it; they go when it goes.");
        }
        await DeleteDataset.Handle((await ReadFiles.FindFile(db, id, cancel)).Id, db, datasets, cancel);
        return OpenAiJson.Answer(new OpenAiDeleted(id, "file"));
    }
}
