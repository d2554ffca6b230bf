using FineTuneService.Api.BaseModels;
using FineTuneService.Api.Datasets;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using FineTuneService.Training.Data;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

/// <summary>A specification whose base model and adapter were looked for.</summary>
/// <param name="Resolutions">What was chosen for that.</param>
public sealed record JobDraft(JobSpec Spec, BaseModelView? Model, IReadOnlyList<Resolution> Resolutions);

/// <summary>Judges specifications against what is here, and decides what they left open. Within one request a model or dataset is looked for once.</summary>
public sealed class ResolveJob(FineTuneDb db, FindBaseModel models, SinkSettings sinks, TimeProvider clock)
{
    private const string ReplayPointer = "/dataset/replay/dataset";

    private readonly Dictionary<(string, string?, WeightsFrom), (FoundModel Model, FaultList Faults)> _models = [];
    private readonly Dictionary<string, FoundDataset?> _datasets = [];

    private sealed record FoundDataset(string Id, string Name, long Rows, DatasetProfile Profile)
    {
        public string[] Columns { get; } = [.. Profile.Columns.Select(column => column.Name)];
    }

    /// <summary>To be called before the transaction: the hub may take its time.</summary>
    public async Task<JobDraft> FindModels(JobSpec spec, FaultList faults, CancellationToken cancel)
    {
        var model = await FindModel(spec, faults, cancel);
        var named = spec with { BaseModel = model.Spec.BaseModel, Revision = model.Spec.Revision };
        var adapter = await models.FindAdapter(named, faults, cancel);
        return new(adapter.Spec, model.View, [.. model.Resolutions, .. adapter.Resolutions]);
    }

    /// <summary>Datasets stay locked until the transaction ends: nobody deletes them before the job's row is there.</summary>
    /// <returns>With any faults, of no use.</returns>
    public async Task<ResolvedSpec> Resolve(JobDraft draft, FaultList faults, CancellationToken cancel)
    {
        var data = draft.Spec.Dataset;
        var train = await FindDataset(data.Train, "/dataset/train", faults, cancel);
        var validation = await FindDataset(data.Validation, "/dataset/validation", faults, cancel);
        var test = await FindDataset(data.Test, "/dataset/test", faults, cancel);
        var replay = await FindDataset(data.Replay?.Dataset, ReplayPointer, faults, cancel);
        var earlier = new List<(string Pointer, FoundDataset? Dataset)>();
        foreach (var (index, name) in (data.Earlier ?? []).Index())
            earlier.Add(($"/dataset/earlier/{index}", await FindDataset(name, $"/dataset/earlier/{index}", faults, cancel)));
        var spec = draft.Spec with
        {
            Dataset = data with
            {
                Train = train?.Id ?? data.Train,
                Validation = validation?.Id,
                Test = test?.Id,
                Earlier = data.Earlier?.Select((name, index) => earlier[index].Dataset?.Id ?? name).ToList(),
                Replay = replay is null ? data.Replay : data.Replay! with { Dataset = replay.Id },
            },
        };
        var task = (TrainingTaskConfig)spec.Task;
        if (draft.Model is { Supported: true, Heads: { } heads } view && !heads.Contains(task.Head))
            faults.Add(PretrainedConfig.NoHead(view.ModelType!, task.Head, heads));
        else if (draft.Model is { Config: { } config, Tensors: { } tensors })
            ((TrainingMethodConfig?)spec.Method)?.CheckModel(config, LayerOutline.Of(config, tensors, task.Head), task.Head, faults);
        var resolved = SpecResolver.Resolve(spec, Facts(draft.Model, train), faults);
        CheckData(task, resolved.Spec.Dataset, train, [("/dataset/validation", validation), ("/dataset/test", test), (ReplayPointer, replay), .. earlier], faults);
        await CheckScheduling(spec.Scheduling, faults, cancel);
        if (spec.Training.ReportTo?.Values.Contains("mlflow") == true)
            faults.Require(sinks.Mlflow is not null, "/training/report_to", "mlflow", "This service knows no MLflow server.", "Leave it out, or have its operator set Sinks:Mlflow:TrackingUri.");
        return new(resolved.Spec, [.. draft.Resolutions, .. resolved.Resolutions]);
    }

    /// <summary>What a forecast of the job's memory needs to know of its data and its model.</summary>
    public Workload WorkloadOf(JobDraft draft, JobSpec resolved)
    {
        var data = draft.Spec.Dataset;
        var evaluated = new[] { data.Validation, data.Test }.OfType<string>().Select(name => _datasets[name]!.Rows).DefaultIfEmpty().Max();
        return Workload.Of(resolved, _datasets[data.Train]!.Profile, evaluated, draft.Model!.Tensors?.Keys);
    }

    public long TrainRowsOf(JobDraft draft) => _datasets[draft.Spec.Dataset.Train]!.Rows;

    private async Task<FoundModel> FindModel(JobSpec spec, FaultList faults, CancellationToken cancel)
    {
        var key = (spec.BaseModel, spec.Revision, spec.Init);
        if (!_models.TryGetValue(key, out var found))
        {
            var collected = new FaultList();
            _models[key] = found = (await models.Find(spec, collected, cancel), collected);
        }
        foreach (var fault in found.Faults.All)
            faults.Add(fault);
        return found.Model;
    }

    private static void CheckData(TrainingTaskConfig task, DatasetSpec spec, FoundDataset? train, (string Pointer, FoundDataset? Dataset)[] others, FaultList faults)
    {
        if (train is null)
            return;
        task.Check(train.Profile, spec, faults);
        foreach (var (pointer, other) in others)
            foreach (var needed in other is null ? [] : task.NeededColumns(spec).Except(other.Columns))
                faults.Add(pointer, other!.Name, $"This dataset has no column '{needed}', which the training data has.", $"Its columns are: {string.Join(", ", other.Columns)}. Name them as in the training data.");
    }

    private async Task CheckScheduling(JobScheduling scheduling, FaultList faults, CancellationToken cancel)
    {
        faults.Require(scheduling.Deadline is null || scheduling.Deadline > clock.GetUtcNow(), "/scheduling/deadline", scheduling.Deadline, "This time has passed.", "Give a later one, or leave it out.");
        if (scheduling.DependsOn is not { Count: > 0 } needed)
            return;
        faults.Require(scheduling.AutoStart, "/scheduling/auto_start", false, "A job with depends_on is started by them.", "Leave one of the two out.");
        var known = await db.Jobs.AsNoTracking().Where(job => needed.Contains(job.Id)).Select(job => new { job.Id, job.Status }).ToDictionaryAsync(job => job.Id, job => job.Status, cancel);
        foreach (var (index, id) in needed.Index())
        {
            faults.Require(known.ContainsKey(id), $"/scheduling/depends_on/{index}", id, "There is no such job.", "Choose one of GET /jobs.");
            faults.Require(known.GetValueOrDefault(id) is not (JobStatus.Failed or JobStatus.Cancelled), $"/scheduling/depends_on/{index}", id, $"This job has {known.GetValueOrDefault(id).ToString().ToLowerInvariant()} already.", "Retry it first, or leave it out.");
        }
    }

    private static SpecFacts Facts(BaseModelView? model, FoundDataset? train) => new()
    {
        TrainRows = train?.Rows,
        Columns = train?.Columns,
        MaxPositions = model?.MaxLength,
        Parameters = model?.Parameters,
    };

    private async Task<FoundDataset?> FindDataset(string? name, string pointer, FaultList faults, CancellationToken cancel)
    {
        if (name is null)
            return null;
        if (!_datasets.TryGetValue(name, out var found))
        {
            var rows = await db.Datasets.FromSql($"SELECT * FROM finetune.datasets WHERE project_id = {db.Project} AND (id = {name} OR name = {name}) ORDER BY id DESC LIMIT 1 FOR SHARE").AsNoTracking().ToListAsync(cancel);
            _datasets[name] = found = rows is [var row] ? new(row.Id, row.Name, row.Rows, DatasetView.ProfileOf(row)) : null;
        }
        if (found is null)
            faults.Add(pointer, name, "There is no such dataset.", "Upload it with POST /datasets, or choose one of GET /datasets.");
        return found;
    }
}
