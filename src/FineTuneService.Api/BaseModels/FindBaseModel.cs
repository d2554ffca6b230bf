using System.Text.Json;
using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Training;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Methods;

namespace FineTuneService.Api.BaseModels;

/// <summary>A job's base model, as far as it was found.</summary>
/// <param name="Spec">Names it for good: by commit or by step.</param>
/// <param name="View">Null when there is none.</param>
/// <param name="Resolutions">What was chosen for that.</param>
public sealed record FoundModel(JobSpec Spec, BaseModelView? View, IReadOnlyList<Resolution> Resolutions);

/// <summary>Looks for a job's base model: in the models directory, among the checkpoints of ended jobs, on the hub.</summary>
public sealed class FindBaseModel(StorageSettings storage, CheckpointFiles files, BaseModelFiles models, ModelHub hub, FineTuneDb db, TimeProvider clock)
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
            var found = await BaseModelFolder.Find(storage, models, name, cancel) is { } here ? InFolder(spec, here)
                : name.StartsWith(CheckpointName.Scheme, StringComparison.Ordinal) ? await AmongCheckpoints(spec, cancel)
                : HubModel.IsId(name) ? await OnHub(spec, cancel)
                : throw new FaultException("/base_model", name, "There is no such base model.", $"{Choice} or give an id of the hub: organisation/name.");
            if (!found.View!.Supported)
                faults.Add("/base_model", name, $"This model cannot be used. {found.View.WhyNot}", "Choose another of GET /base-models or of the hub, or mend its folder.");
            else if (!found.View.HasWeights && spec.Init == WeightsFrom.Pretrained)
                faults.Add("/base_model", name, "This folder has no weights, only the shape of a model and its tokenizer.", "Set init to config, which draws the first weights at random; or choose a base model with weights.");
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

    private static FoundModel InFolder(JobSpec spec, BaseModelFolder folder) => new(WithoutRevision(spec, "A folder of the models directory"), folder.View(spec.Init), []);

    private async Task<FoundModel> AmongCheckpoints(JobSpec spec, CancellationToken cancel)
    {
        WithoutRevision(spec, "A checkpoint");
        var (resolved, folder, reason) = await EndedCheckpoint(spec.BaseModel, "/base_model", cancel);
        var isMerged = spec.Init == WeightsFrom.Pretrained && AdapterFolder.Is(folder.Path);
        return new(
            spec with { BaseModel = resolved },
            new BaseModelFolder(resolved, folder.Path).View(spec.Init),
            resolved == spec.BaseModel && !isMerged ? [] : [Chosen("/base_model", resolved, isMerged ? $"{reason} It is an adapter: with its base it is merged into one model, and the job starts from that. To go on with the adapter itself, name it as method.adapter." : reason)]);
    }

    /// <summary>Finds the adapter that a job goes on with: a folder beside the base models, or an ended job's checkpoint, by its step then. Collects what is wrong with it.</summary>
    public async Task<(JobSpec Spec, IReadOnlyList<Resolution> Resolutions)> FindAdapter(JobSpec spec, FaultList faults, CancellationToken cancel)
    {
        const string Pointer = "/method/adapter";
        if (spec.Method is not LoraConfig { Adapter: { } adapter } lora)
            return (spec, []);
        try
        {
            var known = BaseModelFolder.Adapters(storage).ToList();
            var (name, path, reason) = known.FirstOrDefault(folder => folder.Name == adapter) is { } local ? (adapter, local.Path, "")
                : adapter.StartsWith(CheckpointName.Scheme, StringComparison.Ordinal) && await EndedCheckpoint(adapter, Pointer, cancel) is var (resolved, folder, why) ? (resolved, folder.Path, why)
                : throw new FaultException(
                    Pointer, adapter, "There is no such adapter.",
                    known.Count == 0 ? "Give job:JOB for what a job has made, or put the adapter's folder beside the base models first." : $"Choose one of: {string.Join(", ", known.Select(folder => folder.Name))}; or give job:JOB.");
            if (!AdapterFolder.Is(path))
                throw new FaultException(Pointer, adapter, "This checkpoint is a whole model, not an adapter.", "Give it as base_model.");
            lora.CheckAdapter(AdapterFolder.Read(path), spec.BaseModel, faults);
            return (spec with { Method = lora with { Adapter = name } }, name == adapter ? [] : [Chosen(Pointer, name, reason)]);
        }
        catch (FaultException error)
        {
            foreach (var fault in error.Faults)
                faults.Add(fault.Pointer == Pointer ? fault : new(Pointer, adapter, fault.Message, fault.Remedy)); // Its own name a file of ours.
            return (spec, []);
        }
    }

    /// <returns>The checkpoint's name with its step, its folder, and why it is this one.</returns>
    private async Task<(string Name, CheckpointFolder Folder, string Reason)> EndedCheckpoint(string given, string pointer, CancellationToken cancel)
    {
        if (CheckpointName.Parse(given) is not { } name)
            throw new FaultException(pointer, given, "This names no checkpoint.", "Give job:JOB for the best one, or job:JOB@STEP, @best, @final.");
        var (job, folder) = await FindCheckpoint(name, given, pointer, cancel);
        if (!job.Status.IsTerminal())
            throw new FaultException(pointer, given, $"This job is {job.Status.ToString().ToLowerInvariant()}; its checkpoints still come and go.", "Wait for its end, or cancel it: its last checkpoint stays.");
        return (new CheckpointName(name.JobId, folder.Checkpoint.Step).ToString(), folder, name.Which is null ? "The job's best checkpoint, else its newest." : $"The job's {name.Which} checkpoint.");
    }

    private async Task<(Job Job, CheckpointFolder Folder)> FindCheckpoint(CheckpointName name, string given, string pointer, CancellationToken cancel)
    {
        try
        {
            return (await db.FindJob(name.JobId, cancel), await CheckpointFolder.Find(db, files, name.JobId, name.Which, cancel));
        }
        catch (ProblemException missing) when (missing.Status == StatusCodes.Status404NotFound)
        {
            throw new FaultException(pointer, given, missing.Message, $"See GET /jobs, and GET /jobs/{name.JobId}/checkpoints.");
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
                new BaseModelFolder(model.Id, snapshot.Path).View(spec.Init),
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
