using System.Globalization;
using FineTuneService.Api.BaseModels;
using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

/// <summary>A model by its name: a job's result, one of its checkpoints, or a base model that is here.</summary>
/// <param name="Folder">Where it lies.</param>
/// <param name="Job">That made it; null for a base model.</param>
public sealed record FoundModelFolder(string Folder, Job? Job, Checkpoint? Checkpoint);

/// <summary>Looks for models by the names that OpenAI's clients give them.</summary>
public sealed class FindModel(FineTuneDb db, StorageSettings storage, CheckpointFiles files, ModelHub hub)
{
    /// <summary>Base models that are here, by name.</summary>
    public IEnumerable<(string Name, string Folder)> BaseModels() =>
        BaseModelFolder.All(storage).Select(folder => (folder.Name, folder.Path)).Concat(hub.Cached().Select(snapshot => (snapshot.Id, snapshot.Path))).DistinctBy(model => model.Item1);

    /// <exception cref="ProblemException">404.</exception>
    public async Task<FoundModelFolder> Find(string name, CancellationToken cancel)
    {
        if (ModelName.Parse(name) is not { } made)
            return BaseModels().FirstOrDefault(model => model.Name == name) is { Folder: { } folder } ? new(folder, null, null) : throw ProblemException.NotFound("model", name);
        var job = await FindJob(made, name, cancel);
        try
        {
            var found = await CheckpointFolder.Find(db, files, job.Id, made.Step?.ToString(CultureInfo.InvariantCulture), cancel);
            return new(found.Path, job, found.Checkpoint);
        }
        catch (ProblemException missing) when (missing.Status == StatusCodes.Status404NotFound)
        {
            throw ProblemException.NotFound("model", name);
        }
    }

    /// <summary>What <c>base_model</c> of a job specification is called for this model; a name that is none of ours stays.</summary>
    /// <exception cref="ProblemException">404 when no job has made it.</exception>
    public async Task<string> BaseOf(string name, CancellationToken cancel)
    {
        if (ModelName.Parse(name) is not { } made)
            return name;
        var job = await FindJob(made, name, cancel);
        return made.Step is { } step ? new CheckpointName(job.Id, step).ToString() : new CheckpointName(job.Id, null).ToString();
    }

    /// <summary>A result is one when its job has succeeded; checkpoints are there before.</summary>
    private async Task<Job> FindJob(ModelName made, string name, CancellationToken cancel)
    {
        var jobs = await db.Jobs.AsNoTracking().Where(job => job.Id.EndsWith(made.ShortId)).ToListAsync(cancel);
        return jobs.FirstOrDefault(job => JobView.From(job).Spec.BaseModel == made.Base && (made.Step is not null || job.Status == JobStatus.Succeeded)) ?? throw ProblemException.NotFound("model", name);
    }
}
