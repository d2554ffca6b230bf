using System.Text.Json;
using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Training;

namespace FineTuneService.Api.BaseModels;

/// <summary>A job's base model, as far as it was found.</summary>
/// <param name="Spec">Names it for good: by commit or by step.</param>
/// <param name="View">Null when there is none.</param>
/// <param name="Resolutions">What was chosen for that.</param>
public sealed record FoundModel(JobSpec Spec, BaseModelView? View, IReadOnlyList<Resolution> Resolutions);

/// <summary>Looks for a job's base model: in the models directory, among the checkpoints of ended jobs, on the hub.</summary>
public sealed class FindBaseModel(StorageSettings storage, ModelHub hub, FineTuneDb db, TimeProvider clock)
{
    /// <summary>As long as one waits for an answer to <c>POST /jobs</c>.</summary>
    private static readonly TimeSpan HubPatience = TimeSpan.FromMinutes(1);

    /// <summary>Collects what is wrong with the model.</summary>
    /// <exception cref="ProblemException">503 when the hub cannot be asked.</exception>
    public async Task<FoundModel> Find(JobSpec spec, FaultList faults, CancellationToken cancel)
    {
        try
        {
            var name = spec.BaseModel;
            var found = BaseModelFolder.All(storage).FirstOrDefault(folder => folder.Name == name) is { } local ? InFolder(spec, local)
                : name.StartsWith(CheckpointName.Scheme, StringComparison.Ordinal) ? await AmongCheckpoints(spec, cancel)
                : HubModel.IsId(name) ? await OnHub(spec, cancel)
                : throw new FaultException("/base_model", name, "There is no such base model.", $"{Choice} or give an id of the hub: organisation/name.");
            if (!found.View!.Supported)
                faults.Add("/base_model", name, $"This model cannot be used. {found.View.WhyNot}", "Choose another of GET /base-models or of the hub, or mend its folder.");
            return found;
        }
        catch (FaultException error)
        {
            foreach (var fault in error.Faults)
                faults.Add(fault.Pointer, fault.Value, fault.Message, fault.Remedy);
            return new(spec, null, []);
        }
    }

    private string Choice => $"Choose one of GET /base-models ({string.Join(", ", BaseModelFolder.All(storage).Select(folder => folder.Name))}),";

    private static FoundModel InFolder(JobSpec spec, BaseModelFolder folder) => new(WithoutRevision(spec, "A folder of the models directory"), folder.View(), []);

    private async Task<FoundModel> AmongCheckpoints(JobSpec spec, CancellationToken cancel)
    {
        if (CheckpointName.Parse(spec.BaseModel) is not { } name)
            throw new FaultException("/base_model", spec.BaseModel, "This names no checkpoint.", "Give job:JOB for the best one, or job:JOB@STEP, @best, @final.");
        WithoutRevision(spec, "A checkpoint");
        var (job, folder) = await FindCheckpoint(name, spec.BaseModel, cancel);
        if (!job.Status.IsTerminal())
            throw new FaultException("/base_model", spec.BaseModel, $"This job is {job.Status.ToString().ToLowerInvariant()}; its checkpoints still come and go.", "Wait for its end, or cancel it: its last checkpoint stays.");
        var resolved = new CheckpointName(name.JobId, folder.Checkpoint.Step).ToString();
        return new(
            spec with { BaseModel = resolved },
            new BaseModelFolder(resolved, folder.Path).View(),
            resolved == spec.BaseModel ? [] : [Chosen("/base_model", resolved, name.Which is null ? "The job's best checkpoint, else its newest." : $"The job's {name.Which} checkpoint.")]);
    }

    private async Task<(Job Job, CheckpointFolder Folder)> FindCheckpoint(CheckpointName name, string given, CancellationToken cancel)
    {
        try
        {
            return (await db.FindJob(name.JobId, cancel), await CheckpointFolder.Find(db, storage, name.JobId, name.Which, cancel));
        }
        catch (ProblemException missing) when (missing.Status == StatusCodes.Status404NotFound)
        {
            throw new FaultException("/base_model", given, missing.Message, $"See GET /jobs, and GET /jobs/{name.JobId}/checkpoints.");
        }
    }

    private async Task<FoundModel> OnHub(JobSpec spec, CancellationToken cancel)
    {
        var model = HubModel.Parse(spec.BaseModel, spec.Revision);
        var folder = Directory.CreateTempSubdirectory("finetune-preview-");
        using var tooLong = new CancellationTokenSource(HubPatience, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, tooLong.Token);
        try
        {
            var snapshot = await hub.Preview(model, folder.FullName, either.Token);
            return new(
                spec with { Revision = snapshot.Commit },
                new BaseModelFolder(model.Id, snapshot.Path).View(),
                spec.Revision == snapshot.Commit ? [] : [Chosen("/revision", snapshot.Commit, $"What {model.Revision} of {model.Id} was at this moment.")]);
        }
        catch (FaultException error) when (error.Faults is [{ Pointer: "/base_model" } fault] && fault.Value == model.Id)
        {
            throw new FaultException(fault.Pointer, fault.Value, fault.Message, $"{fault.Remedy} {Choice[..^1]} instead.");
        }
        catch (HubUnreachableException error)
        {
            throw new ProblemException(StatusCodes.Status503ServiceUnavailable, $"The hub cannot be asked for '{model.Id}'. {error.Message} Try again later, or choose one of GET /base-models.");
        }
        catch (OperationCanceledException) when (tooLong.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new ProblemException(StatusCodes.Status503ServiceUnavailable, $"The hub takes too long to tell of '{model.Id}'. Try again: what has come is kept.");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <exception cref="FaultException">When a revision was given.</exception>
    private static JobSpec WithoutRevision(JobSpec spec, string what) => spec.Revision is null
        ? spec
        : throw new FaultException("/revision", spec.Revision, $"{what} has no revisions.", "Leave it out; only models of the hub have revisions.");

    private static Resolution Chosen(string pointer, string value, string reason) => new(pointer, JsonSerializer.SerializeToElement(value), reason);
}
