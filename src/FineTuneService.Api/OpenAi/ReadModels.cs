using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

/// <summary>A model that jobs can start from, and that answers completions if it is a language model.</summary>
/// <param name="Created">Unix time.</param>
/// <param name="OwnedBy">The project's id; <c>library</c> for base models.</param>
public sealed record OpenAiModel(string Id, long Created, string OwnedBy)
{
    public string Object => "model";
}

public sealed record OpenAiModelList(IReadOnlyList<OpenAiModel> Data)
{
    public string Object => "list";
}

public static class ReadModels
{
    private const string Library = "library";

    /// <summary>Lists models: base models that are here, and what jobs have made, the newest first.</summary>
    public static async Task<JsonHttpResult<OpenAiModelList>> List(FineTuneDb db, FindModel models, CancellationToken cancel)
    {
        var project = await ModelName.ProjectSlug(db, cancel);
        var jobs = await db.Jobs.AsNoTracking().Where(job => job.Status == JobStatus.Succeeded && db.Checkpoints.Any(row => row.JobId == job.Id && row.DeletedAt == null)).OrderByDescending(job => job.Id).ToListAsync(cancel);
        return OpenAiJson.Answer(new OpenAiModelList(
        [
            .. models.BaseModels().Select(model => BaseModel(model.Name, model.Folder)),
            .. jobs.Select(job => new OpenAiModel(ModelName.Of(job, project), (job.FinishedAt ?? job.CreatedAt).ToUnixTimeSeconds(), job.ProjectId)),
        ]));
    }

    /// <summary>Describes a model.</summary>
    /// <param name="model">The model's name.</param>
    public static async Task<JsonHttpResult<OpenAiModel>> Get(string model, FindModel models, CancellationToken cancel)
    {
        var name = NameIn(model);
        var found = await models.Find(name, cancel);
        return OpenAiJson.Answer(found is { Job: { } job, Checkpoint: { } checkpoint } ? new(name, checkpoint.CreatedAt.ToUnixTimeSeconds(), job.ProjectId) : BaseModel(name, found.Folder));
    }

    /// <summary>A slash within a name may come escaped, which routing leaves as it is.</summary>
    internal static string NameIn(string route) => route.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);

    private static OpenAiModel BaseModel(string name, string folder) => new(name, new DateTimeOffset(Directory.GetLastWriteTimeUtc(folder), TimeSpan.Zero).ToUnixTimeSeconds(), Library);
}
