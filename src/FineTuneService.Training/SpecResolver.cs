using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training;

/// <summary>What is known of the data and the model when a specification is resolved; null where it is not.</summary>
public sealed record SpecFacts
{
    /// <summary>Rows of the training file.</summary>
    public long? TrainRows { get; init; }

    /// <summary>Columns of the training file, in their order.</summary>
    public IReadOnlyList<string>? Columns { get; init; }

    /// <summary>Tokens that the model reads at most, special tokens included.</summary>
    public int? MaxPositions { get; init; }

    /// <summary>Weights of the model.</summary>
    public long? Parameters { get; init; }
}

/// <summary>A value that the service chose, and why.</summary>
/// <param name="Pointer">JSON pointer into the resolved specification.</param>
public sealed record Resolution(string Pointer, JsonElement Value, string Reason);

public sealed record ResolvedSpec(JobSpec Spec, IReadOnlyList<Resolution> Resolutions);

/// <summary>Puts a value in place of every <c>auto</c> and of every default that depends on data or model. Resolving the result again changes nothing.</summary>
public sealed class SpecResolver
{
    /// <summary>Attention's cost grows with the square of the length, and few texts to classify are longer.</summary>
    internal const int UsualMaxLength = 512;

    private readonly SpecFacts _facts;
    private readonly FaultList _faults;
    private readonly List<Resolution> _resolutions = [];

    private SpecResolver(SpecFacts facts, FaultList faults) => (_facts, _faults) = (facts, faults);

    /// <exception cref="FaultException">When a column is missing, or the model reads fewer tokens than asked for.</exception>
    public static ResolvedSpec Resolve(JobSpec spec, SpecFacts facts)
    {
        var faults = new FaultList();
        var resolved = Resolve(spec, facts, faults);
        faults.ThrowIfAny();
        return resolved;
    }

    /// <summary>Collects the faults; with any, the result is of no use.</summary>
    public static ResolvedSpec Resolve(JobSpec spec, SpecFacts facts, FaultList faults)
    {
        var resolver = new SpecResolver(facts, faults);
        var method = spec.Method ?? resolver.Choose<MethodConfig>("/method", new FullFineTuningConfig(), "Every weight is trained unless a method is named.");
        ((TrainingMethodConfig)method).Check(faults);
        ((TrainingMethodConfig)method).CheckInit(spec.Init, faults);
        ((TrainingTaskConfig)spec.Task).CheckInit(spec.Init, faults);
        ((TrainingTaskConfig)spec.Task).CheckMethod((TrainingMethodConfig)method, faults);
        ((TrainingTaskConfig)spec.Task).CheckTraining(spec.Training, faults);
        ForgettingProbe.Check((TrainingTaskConfig)spec.Task, spec.Init, spec.Training, faults);
        Probe.Check((TrainingTaskConfig)spec.Task, spec.Init, spec.Dataset, spec.Training, faults);
        KlToBase.Check((TrainingTaskConfig)spec.Task, spec.Init, (TrainingMethodConfig)method, spec.Training, faults);
        if (spec.Dataset.Replay is { } replay)
            faults.Require(
                ((TrainingTaskConfig)spec.Task).CanReplay, "/dataset/replay", replay.Dataset, $"Rows are replayed for tasks that predict tokens, and not for {Catalog.NameOf(spec.Task)}.",
                "Leave it out, and put earlier rows into the training dataset.");
        var hasValidation = spec.Dataset.Validation is not null || spec.Dataset.ValidationSplit > 0;
        var resolved = spec with
        {
            Method = method,
            Dataset = resolver.Columns((TrainingTaskConfig)spec.Task, spec.Dataset),
            Training = resolver.Evaluation(resolver.Training(spec.Training, method), hasValidation),
        };
        return new(resolved, resolver._resolutions);
    }

    /// <summary>Only the columns; see <see cref="Resolve(JobSpec, SpecFacts)"/>.</summary>
    /// <exception cref="FaultException">When a column is missing.</exception>
    public static DatasetSpec ResolveColumns(TrainingTaskConfig task, DatasetSpec data, IReadOnlyList<string> columns)
    {
        var faults = new FaultList();
        var resolved = new SpecResolver(new SpecFacts { Columns = columns }, faults).Columns(task, data);
        faults.ThrowIfAny();
        return resolved;
    }

    private DatasetSpec Columns(TrainingTaskConfig task, DatasetSpec data) => _facts.Columns is null
        ? data
        : task.ResolveColumns(data, new(_facts.Columns, _faults, (pointer, column, reason) => Choose(pointer, column, reason)));

    private TrainingArguments Training(TrainingArguments training, MethodConfig method)
    {
        var rows = _facts.TrainRows ?? 0;
        if (training.MaxLength.Value > _facts.MaxPositions)
            _faults.Add(
                "/training/max_length", training.MaxLength.Value, $"The model reads at most {_facts.MaxPositions} tokens.", $"Give at most {_facts.MaxPositions}, or auto.");
        var resolved = training with
        {
            NumTrainEpochs = training.NumTrainEpochs.Value ?? Choose(
                "/training/num_train_epochs", rows switch { < 1_000 => 10.0, < 10_000 => 5.0, _ => 3.0 },
                $"By the number of rows ({rows}): 10 below 1000, 5 below 10000, then 3."),
            PerDeviceTrainBatchSize = training.PerDeviceTrainBatchSize.Value ?? Choose(
                "/training/per_device_train_batch_size", rows switch { < 1_000 => 8, < 10_000 => 16, _ => 32 },
                $"By the number of rows ({rows}): 8 below 1000, 16 below 10000, then 32."),
            MaxLength = training.MaxLength.Value ?? Choose(
                "/training/max_length", Math.Min(UsualMaxLength, _facts.MaxPositions ?? UsualMaxLength),
                $"The model's limit ({_facts.MaxPositions?.ToString(CultureInfo.InvariantCulture) ?? "unknown"}), at most {UsualMaxLength}."),
            LearningRate = training.LearningRate.Value ?? Choose(
                "/training/learning_rate", LearningRate(method),
                "By method and size: 2e-4 for adapters; for all weights 3e-4 below 20 million, 5e-5 below 200 million or where the size is unknown, then 2e-5."),
            DataSeed = training.DataSeed ?? Choose("/training/data_seed", training.Seed, "The same as seed."),
        };
        if (training.LrSchedulerType == LearningRateSchedule.Polynomial && (training.LrSchedulerKwargs?.LrEnd ?? LearningRates.UsualEnd) is var end)
            _faults.Require(
                end < resolved.LearningRate.Resolved, "/training/lr_scheduler_kwargs/lr_end", end, $"The rate is to fall to this, from {resolved.LearningRate}.", "Give less than learning_rate.");
        return resolved;
    }

    private double LearningRate(MethodConfig method) => method is not FullFineTuningConfig ? 2e-4 : _facts.Parameters switch
    {
        < 20_000_000 => 3e-4,
        null or < 200_000_000 => 5e-5,
        _ => 2e-5,
    };

    private TrainingArguments Evaluation(TrainingArguments training, bool hasValidation)
    {
        const string NoRows = "There are no validation rows.";
        if (!hasValidation && training.EvalStrategy != IntervalStrategy.No)
            training = training with { EvalStrategy = Choose("/training/eval_strategy", IntervalStrategy.No, NoRows) };
        if (!hasValidation && training.EvalOnStart)
            training = training with { EvalOnStart = Choose("/training/eval_on_start", false, NoRows) };
        if (training.EvalStrategy == IntervalStrategy.No && training.LoadBestModelAtEnd)
            training = training with { LoadBestModelAtEnd = Choose("/training/load_best_model_at_end", false, "Without evaluations no model is the best.") };
        if (training.EvalStrategy == IntervalStrategy.Steps && training.EvalSteps is null)
            training = training with { EvalSteps = Choose("/training/eval_steps", training.LoggingSteps, "The same as logging_steps.") };
        if (training.EvalStrategy == IntervalStrategy.No)
            return training;

        var metric = training.MetricForBestModel ?? (training.ForgettingWeight > 0
            ? Choose("/training/metric_for_best_model", Probe.AwareLoss, "What is forgotten counts by forgetting_weight.")
            : Choose("/training/metric_for_best_model", "loss", "Unless named, the best model has the lowest evaluation loss."));
        return training with
        {
            MetricForBestModel = metric,
            GreaterIsBetter = training.GreaterIsBetter ?? Choose("/training/greater_is_better", !EvaluationMetric.ShouldFall(metric), "Losses, perplexities and errors should fall, any other metric rise."),
        };
    }

    private T Choose<T>(string pointer, T value, string reason)
    {
        _resolutions.Add(new(pointer, JsonSerializer.SerializeToElement(value, Catalog.Json), reason));
        return value;
    }
}
