using System.Security.Cryptography;
using System.Text.Json;
using FineTuneService.Api.Datasets;
using FineTuneService.Api.Idempotency;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Tasks;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

public static class CreateFineTuningJob
{
    /// <summary>As PEFT's examples have it; with it a model of billions of weights fits where its gradients would not.</summary>
    private static readonly LoraConfig Adapter = new() { R = 8, LoraAlpha = 16, TargetModules = new(LoraConfig.AllLinear) };

    /// <summary>OpenAI keeps the checkpoints of the last three epochs.</summary>
    private const int KeptCheckpoints = 3;

    /// <summary>Log lines that a run has at most, about: each is an event.</summary>
    private const double LogLines = 100;

    /// <summary>Creates a fine-tuning job, as OpenAI's <c>POST /fine_tuning/jobs</c>; it is the same as a job of <c>POST /jobs</c>, which can do more.</summary>
    /// <remarks>
    /// <c>supervised</c> is the task <c>sft</c> for conversations and prompts with completions, and <c>text-classification</c> for labelled texts; <c>dpo</c> is the task of that name.
    /// Language models are trained by LoRA (rank 8, alpha 16, all linear layers), classifiers whole. <c>n_epochs</c> is <c>num_train_epochs</c>, <c>batch_size</c> is
    /// <c>per_device_train_batch_size</c>; <c>learning_rate_multiplier</c> multiplies the rate that <c>"learning_rate": "auto"</c> would choose: 2e-4 for adapters.
    /// What was <c>auto</c> is answered with what was chosen.
    /// </remarks>
    public static async Task<JsonHttpResult<FineTuningJob>> Handle(HttpContext context, FineTuneDb db, FindModel models, ResolveJob resolve, PostJob post, TimeProvider clock, CancellationToken cancel)
    {
        var asked = await JsonContract.ReadAsync<CreateFineTuningJobRequest>(context.Request.Body, Catalog.Json, cancel);
        var faults = new FaultList();
        asked.Check(faults);
        var train = await FindFile(asked.TrainingFile, "/training_file", db, faults, cancel);
        var validation = asked.ValidationFile is { } name ? await FindFile(name, "/validation_file", db, faults, cancel) : null;
        var baseModel = await models.BaseOf(asked.Model, cancel);
        faults.ThrowIfAny();

        var options = Hyperparameters(asked);
        var multiplier = options.LearningRateMultiplier.Value;
        var draft = await resolve.FindModels(Spec(asked, options, baseModel, train!, validation), faults, cancel);
        var client = JsonSerializer.Serialize(new FineTuningClient(asked.Model, asked.Suffix, multiplier ?? 1), Catalog.Json);
        return await post.Store(draft, faults, resolved => Multiplied(resolved, multiplier), client, Answer, cancel);

        async Task<JsonHttpResult<FineTuningJob>> Answer(Job job)
        {
            var view = (await ReadFineTuningJobs.View(db, [job], clock, cancel))[0];
            await IdempotentWork.Keep(context, db, StatusCodes.Status200OK, location: null, view, OpenAiJson.Options, cancel);
            return OpenAiJson.Answer(view);
        }
    }

    private static HyperparametersRequest Hyperparameters(CreateFineTuningJobRequest asked) =>
        (asked.Method?.Type == FineTuningMethodType.Dpo ? asked.Method.Dpo : asked.Method?.Supervised)?.Hyperparameters ?? asked.Hyperparameters ?? new();

    private static JobSpec Spec(CreateFineTuningJobRequest asked, HyperparametersRequest options, string baseModel, Dataset train, Dataset? validation)
    {
        var data = new DatasetSpec { Train = train.Id, Validation = validation?.Id, ValidationSplit = 0 };
        var task = TaskOf(asked, options, data, [.. DatasetView.ProfileOf(train).Columns.Select(column => column.Name)]);
        return new()
        {
            Name = asked.Suffix,
            BaseModel = baseModel,
            Task = task,
            Dataset = data,
            Method = task is TextClassificationConfig ? null : Adapter,
            Metadata = asked.Metadata,
            Training = new()
            {
                NumTrainEpochs = new(options.NEpochs.Value),
                PerDeviceTrainBatchSize = options.BatchSize,
                LearningRate = default,
                LoggingSteps = 1 / LogLines,
                SaveTotalLimit = KeptCheckpoints,
                Seed = asked.Seed ?? RandomNumberGenerator.GetInt32(int.MaxValue),
            },
        };
    }

    /// <summary>By the method, and by what the file has.</summary>
    private static TrainingTaskConfig TaskOf(CreateFineTuningJobRequest asked, HyperparametersRequest options, DatasetSpec data, IReadOnlyList<string> columns)
    {
        if (asked.Method?.Type == FineTuningMethodType.Dpo)
            return options.Beta.Value is { } beta ? new DpoConfig { Beta = beta } : new DpoConfig();
        var answers = new SftConfig { OverLength = OverLength.Truncate };
        return !Reads(answers) && Reads(new TextClassificationConfig()) ? new TextClassificationConfig() : answers;

        bool Reads(TrainingTaskConfig task)
        {
            var faults = new FaultList();
            task.ResolveColumns(data, new(columns, faults, (_, _, _) => { }));
            return !faults.Any;
        }
    }

    private static ResolvedSpec Multiplied(ResolvedSpec resolved, double? multiplier)
    {
        const string Pointer = "/training/learning_rate";
        if (multiplier is not { } times)
            return resolved;
        var rate = resolved.Spec.Training.LearningRate.Resolved * times;
        if (rate > 1)
            throw new FaultException(Pointer, FormattableString.Invariant($"{times}"), $"The learning rate would be {rate}.", "Give a smaller multiplier.");
        return new(
            resolved.Spec with { Training = resolved.Spec.Training with { LearningRate = rate } },
            [.. resolved.Resolutions.Select(one => one.Pointer == Pointer ? one with { Value = JsonSerializer.SerializeToElement(rate), Reason = FormattableString.Invariant($"{one.Reason} Times learning_rate_multiplier, {times}.") } : one)]);
    }

    private static async Task<Dataset?> FindFile(string id, string pointer, FineTuneDb db, FaultList faults, CancellationToken cancel)
    {
        var dataset = id.StartsWith("file-", StringComparison.Ordinal) && !OpenAiIds.IsResults(id) ? OpenAiIds.DatasetOf(id) : null;
        var found = dataset is null ? null : await db.Datasets.AsNoTracking().FirstOrDefaultAsync(row => row.Id == dataset, cancel);
        if (found is null)
            faults.Add(pointer, id, "There is no such file.", "Upload it with POST /v1/files, or choose one of GET /v1/files.");
        return found;
    }
}
