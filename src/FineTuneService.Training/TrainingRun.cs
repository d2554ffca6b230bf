using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Callbacks;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Diagnosis;
using FineTuneService.Training.Distributed;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>From the job.json of a run's folder to a <see cref="Training.Trainer"/> that is ready to train, or to go on.</summary>
public sealed class TrainingRun : IDisposable
{
    private readonly PretrainedModel _model;
    private readonly KlToBase? _anchor;
    private readonly Optimizer _optimizer;

    private TrainingRun(Trainer trainer, PretrainedModel model, KlToBase? anchor, Optimizer optimizer, MemoryForecast forecast) =>
        (Trainer, _model, _anchor, _optimizer, Forecast) = (trainer, model, anchor, optimizer, forecast);

    public Trainer Trainer { get; }

    /// <summary>What it will need of memory.</summary>
    public MemoryForecast Forecast { get; }

    /// <exception cref="FaultException">When specification, model, tokenizer or data have faults; no device time was used.</exception>
    public static TrainingRun Prepare(RunFolder folder, Device device, Action<TrainingEvent> emit, TimeProvider clock, Ranks? ranks = null)
    {
        try
        {
            return Build(folder, device, emit, clock, ranks ?? Ranks.Alone);
        }
        catch (Exception error) when (OutOfMemory.Is(error))
        {
            MemoryLimit.Lift();
            throw new FaultException(
                "/base_model", null, $"Memory ran out before the first step, for the data, the model or the optimizer's state: {OutOfMemory.Describe(error)}.",
                "Train with the method lora or qlora, choose a smaller base model, or use a machine with more memory.");
        }
    }

    private static TrainingRun Build(RunFolder folder, Device device, Action<TrainingEvent> emit, TimeProvider clock, Ranks ranks)
    {
        if (!File.Exists(folder.Job))
            throw new FaultException(folder.Job, null, "There is no job.json in the run's folder.", "Put one there (samples/jobs has some to copy).");
        var spec = InFolder(JobSpecReader.Read(File.ReadAllBytes(folder.Job)), folder.Path);
        var free = new AvailableMemory().Bytes; // Before anything of the run is there.
        var config = PretrainedConfig.Read(spec.BaseModel);
        var tokenizer = Tokenizer.Load(spec.BaseModel);
        if (tokenizer.VocabularySize > config.VocabSize)
            throw new FaultException(
                "/base_model", spec.BaseModel, $"Its tokenizer knows {tokenizer.VocabularySize} tokens, its embeddings {config.VocabSize}: they do not belong together.",
                "Fetch tokenizer.json and model from the same place again, or enlarge the embeddings with transformers' resize_token_embeddings.");
        spec = SpecResolver.Resolve(spec, new SpecFacts { MaxPositions = config.MaxLength, Columns = DataFile.Open(spec.Dataset.Train).FirstColumns() }).Spec;

        var taskConfig = (TrainingTaskConfig)spec.Task;
        var task = taskConfig.Load(spec.Dataset, spec.Training, tokenizer, DatasetCache.FromEnvironment(clock));
        foreach (var note in task.Train.Replay is { } replay ? task.Notes.Append(replay.ToString()) : task.Notes)
            emit(new Noted { Level = "info", Code = "data", Message = note });
        if (task.Samples.Count > 0)
        {
            TokenSampleFile.Write(folder.Samples, task.Samples);
            emit(new Noted { Level = "info", Code = "samples", Message = $"{task.Samples.Count} training rows as the model reads them, with their loss mask: samples.jsonl." });
        }
        spec = Adapt(spec, folder, task.Train.RowsPerEpoch, emit);
        var model = task.Configure(config).Create(taskConfig.Head);
        var weights = ((TrainingMethodConfig)spec.Method!).Prepare(model, taskConfig.Head, spec.Init == WeightsFrom.Config ? null : spec.BaseModel, spec.Training.Seed);
        if (task.NeedsReference && weights.NewKeys.Count > 0)
            throw new FaultException(
                "/base_model", spec.BaseModel, $"The base model lacks what predicts its tokens ({string.Join(", ", weights.NewKeys.Take(3))}): it is drawn, and says nothing to compare with.",
                "Choose a base model that was saved with its language head.");
        if (weights.NewKeys.Count > 0)
            emit(new Noted { Level = "info", Code = "new_weights", Message = $"Set anew, because the base model lacks them: {string.Join(", ", weights.NewKeys)}." });
        model.to(device);
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = spec.Training.Tf32;
        if (spec.Training.GradientCheckpointing)
            model.EnableGradientCheckpointing();
        if (spec.Training.MixedPrecision == MixedPrecision.Fp16 && device.type == TorchSharp.DeviceType.CPU && !MathKernels.MultipliesFp16)
            emit(new Noted { Level = "warning", Code = "slow_precision", Message = "This processor has no products in fp16: a step may take tens of times as long as with mixed_precision no or bf16." });
        if (spec.Training.MixedPrecision != MixedPrecision.No)
            model.ComputeIn(spec.Training.MixedPrecision == MixedPrecision.Bf16 ? ScalarType.BFloat16 : ScalarType.Float16, weights.HoldsFrozen);
        if (spec.Training.NeftuneNoiseAlpha is { } alpha)
            model.AddEmbeddingNoise(alpha);
        task.KlToBase = KlToBase.Of(spec, model, weights.NewKeys, device);
        var evaluationBatches = new EvaluationBatches(folder, spec.Training.PerDeviceEvalBatchSize, emit);
        evaluationBatches.Fit(size => task.Prepare(model, folder, size, device));

        var optimizer = Optimizer.Create(model, spec.Training);
        var verification = new ExportVerification(model, taskConfig.Head, weights, spec.BaseModel, () => task.Train.Collate([0]), device);
        var checkpoint = new Checkpoint(folder, weights, [.. TokenizerFiles(folder, tokenizer, task), .. GenerationFile(spec.BaseModel)], verification, ModelCard.For(spec, taskConfig.Head));
        var forecast = MemoryForecast.Of(spec, task.Configure(config), Workload.Of(task, model.Config, weights.NewKeys) with
        {
            MicroBatchSize = RunAdaptation.Read(folder).MicroBatchSize,
            IsOnHost = device.type == TorchSharp.DeviceType.CPU,
        });
        var samples = task.SamplePrompts is { } prompts ? new SampleTexts(prompts, tokenizer, GenerationSettings.Read(spec.BaseModel, config, tokenizer)) : null;
        // Several processes divide among them what one would accumulate.
        var training = spec.Training with { GradientAccumulationSteps = spec.Training.GradientAccumulationSteps * ranks.Count };
        var plan = new StepPlan(training, task.Train.RowsPerEpoch, RunAdaptation.Read(folder).MicroBatchSize);
        var facts = new RunFacts(spec, plan.TotalSteps, task.Train.RowsPerEpoch, task.Validation?.Count ?? 0, task.Truncated, Enumerable.Range(0, task.Train.Count).Sum(row => (long)task.Train.Length(row)))
        {
            Repeated = task.Repeated,
            Adaptation = RunAdaptation.Read(folder),
            Memory = device.type == TorchSharp.DeviceType.CPU ? (forecast.PeakBytes, free) : null,
        };
        var trainer = new Trainer(new(
            model, task, training, plan, optimizer, checkpoint, new CheckpointStore(folder), [.. Callbacks(training), new RunDiagnosis(facts)], samples, device, ranks, emit, clock,
            folder, evaluationBatches, new Heartbeat(folder, clock), forecast, Probe.Of(spec, config, tokenizer)));
        return new(trainer, model, task.KlToBase, optimizer, forecast);
    }

    /// <summary>What the run has changed about itself so far; and less memory, where somebody saw its last process die for want of it.</summary>
    private static JobSpec Adapt(JobSpec spec, RunFolder folder, int rows, Action<TrainingEvent> emit)
    {
        var given = spec.Training;
        if (File.Exists(folder.OutOfMemory))
        {
            var beginning = new CheckpointStore(folder).Steps is [.., var last] ? $"checkpoint-{last}" : "the start";
            var cause = File.ReadAllText(folder.OutOfMemory);
            File.Delete(folder.OutOfMemory); // First: a run that cannot do with less may find more another time.
            emit(RunAdaptation.LessMemoryForAll(folder, RunAdaptation.Read(folder).Apply(given), rows, cause, beginning));
        }
        return spec with { Training = RunAdaptation.Read(folder).Apply(given) };
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _anchor?.Dispose();
        _model.Dispose();
    }

    /// <summary>Paths in a job.json are relative to its folder.</summary>
    internal static JobSpec InFolder(JobSpec spec, string folder) => spec with
    {
        BaseModel = Path.Combine(folder, spec.BaseModel),
        Method = ((TrainingMethodConfig?)spec.Method)?.InFolder(folder),
        Dataset = spec.Dataset with
        {
            Train = Path.Combine(folder, spec.Dataset.Train),
            Validation = spec.Dataset.Validation is { } validation ? Path.Combine(folder, validation) : null,
            Test = spec.Dataset.Test is { } test ? Path.Combine(folder, test) : null,
            Earlier = spec.Dataset.Earlier?.Select(earlier => Path.Combine(folder, earlier)).ToList(),
            Replay = spec.Dataset.Replay is { } replay ? replay with { Dataset = Path.Combine(folder, replay.Dataset) } : null,
        },
    };

    /// <summary>The base model's, with the chat template that was trained with: transformers prefers the file to what tokenizer_config.json says.</summary>
    private static IEnumerable<string> TokenizerFiles(RunFolder folder, Tokenizer tokenizer, TrainingTask task)
    {
        const string TemplateFile = "chat_template.jinja";
        var files = tokenizer.Files.Select(file => Path.Combine(tokenizer.Folder, file));
        if (task.ChatTemplate is not { } template)
            return files;
        var given = Path.Combine(folder.Path, TemplateFile);
        File.WriteAllText(given, template);
        return files.Where(file => Path.GetFileName(file) != TemplateFile).Append(given);
    }

    /// <summary>How the base model's makers want texts to be drawn, where they say so.</summary>
    private static IEnumerable<string> GenerationFile(string baseModel) =>
        new[] { Path.Combine(baseModel, GenerationSettings.FileName) }.Where(File.Exists);

    private static IEnumerable<TrainerCallback> Callbacks(TrainingArguments training)
    {
        if (training.LrSchedulerType == LearningRateSchedule.ReduceLrOnPlateau)
            yield return new ReduceLrOnPlateau(Trainer.MetricFor(training), training.GreaterIsBetter == true, training.LearningRate.Resolved, training.LrSchedulerKwargs ?? new());
        if (training.EarlyStoppingPatience is { } patience)
            yield return new EarlyStopping(Trainer.MetricFor(training), training.GreaterIsBetter == true, patience, training.EarlyStoppingThreshold);
    }
}
