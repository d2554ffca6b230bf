using System.Text.Json;
using System.Transactions;
using FineTuneService.Api.BaseModels;
using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

public static class CreateJob
{
    /// <summary>Posts a job. The whole specification is judged at once; what was left open is decided, and echoed with reasons.</summary>
    public static async Task<Created<JobView>> Handle(HttpRequest request, FineTuneDb db, FindBaseModel models, JobQueue queue, TimeProvider clock, CancellationToken cancel)
    {
        var faults = new FaultList();
        if (JobSpecReader.Read(await JsonContract.ParseAsync(request.Body, cancel), faults) is not { } spec)
            throw new FaultException([.. faults.All]);
        var model = await models.Find(spec, faults, cancel); // Before the transaction: the hub may take its time.
        var adapter = await models.FindAdapter(model.Spec, faults, cancel);
        // Datasets stay locked until the job's row is there: nobody deletes them meanwhile.
        using var transaction = new TransactionScope(TransactionScopeOption.Required, new TransactionOptions { IsolationLevel = IsolationLevel.ReadCommitted }, TransactionScopeAsyncFlowOption.Enabled);
        var train = await FindDataset(db, spec.Dataset.Train, "/dataset/train", faults, cancel);
        var validation = await FindDataset(db, spec.Dataset.Validation, "/dataset/validation", faults, cancel);
        var test = await FindDataset(db, spec.Dataset.Test, "/dataset/test", faults, cancel);
        spec = adapter.Spec with { Dataset = spec.Dataset with { Train = train?.Id ?? spec.Dataset.Train, Validation = validation?.Id, Test = test?.Id } };
        var task = (TrainingTaskConfig)spec.Task;
        if (model.View is { Supported: true, Heads: { } heads } view && !heads.Contains(task.Head))
            faults.Add(PretrainedConfig.NoHead(view.ModelType!, task.Head, heads));
        else if (model.View is { Config: { } config, Tensors: { } tensors })
            ((TrainingMethodConfig?)spec.Method)?.CheckModel(config, LayerOutline.Of(config, tensors, task.Head), task.Head, faults);
        var resolved = SpecResolver.Resolve(spec, Facts(model.View, train), faults);
        CheckData(task, resolved.Spec.Dataset, train, validation, test, faults);
        faults.ThrowIfAny();

        var job = new Job
        {
            Id = Ids.NewJob(),
            Name = spec.Name,
            Status = JobStatus.Queued,
            Spec = JsonSerializer.Serialize(resolved.Spec, Catalog.Json),
            Resolutions = JsonSerializer.Serialize(model.Resolutions.Concat(adapter.Resolutions).Concat(resolved.Resolutions), Catalog.Json),
            CreatedAt = clock.GetMicrosecondsNow(),
        };
        await queue.Enqueue(job, cancel);
        transaction.Complete();
        return TypedResults.Created($"/jobs/{job.Id}", JobView.From(job));
    }

    private static void CheckData(TrainingTaskConfig task, DatasetSpec spec, Dataset? train, Dataset? validation, Dataset? test, FaultList faults)
    {
        if (train is null)
            return;
        task.Check(DatasetView.ProfileOf(train), spec, faults);
        CheckSplit("/dataset/validation", validation);
        CheckSplit("/dataset/test", test);

        void CheckSplit(string pointer, Dataset? split)
        {
            if (split is null)
                return;
            var columns = DatasetView.ProfileOf(split).Columns.Select(column => column.Name).ToArray();
            foreach (var needed in task.NeededColumns(spec).Except(columns))
                faults.Add(pointer, split.Name, $"This dataset has no column '{needed}', which the training data has.", $"Its columns are: {string.Join(", ", columns)}. Name them as in the training data.");
        }
    }

    private static SpecFacts Facts(BaseModelView? model, Dataset? train) => new()
    {
        TrainRows = train?.Rows,
        Columns = train is null ? null : DatasetView.ProfileOf(train).Columns.Select(column => column.Name).ToArray(),
        MaxPositions = model?.MaxLength,
        Parameters = model?.Parameters,
    };

    private static async Task<Dataset?> FindDataset(FineTuneDb db, string? name, string pointer, FaultList faults, CancellationToken cancel)
    {
        if (name is null)
            return null;
        if (await db.Datasets.FromSql($"SELECT * FROM finetune.datasets WHERE id = {name} OR name = {name} ORDER BY id DESC LIMIT 1 FOR SHARE").AsNoTracking().ToListAsync(cancel) is [var found])
            return found;
        faults.Add(pointer, name, "There is no such dataset.", "Upload it with POST /datasets, or choose one of GET /datasets.");
        return null;
    }
}
