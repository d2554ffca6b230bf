namespace FineTuneService.Contracts;

/// <summary>
/// Hugging Face's <c>TrainingArguments</c>: its names, and its defaults except where a property says otherwise.
/// Where a count may be a fraction below 1, it is a share of all optimizer steps, as there.
/// </summary>
public sealed record TrainingArguments
{
    // Duration and batch

    /// <summary>Epochs; may be fractional. <c>auto</c> chooses by the number of rows. Ignored when <see cref="MaxSteps"/> is positive.</summary>
    public Auto<double> NumTrainEpochs { get; init; } = 3.0;

    /// <summary>Optimizer steps; −1 leaves the duration to <see cref="NumTrainEpochs"/>.</summary>
    public int MaxSteps { get; init; } = -1;

    /// <summary>Rows in a micro-batch. <c>auto</c> chooses by the number of rows.</summary>
    public Auto<int> PerDeviceTrainBatchSize { get; init; } = 8;

    /// <summary>Rows in an evaluation batch.</summary>
    public int PerDeviceEvalBatchSize { get; init; } = 32;

    /// <summary>Micro-batches per optimizer step. The loss is normalised over all of them together, so the step equals that of one big batch.</summary>
    public int GradientAccumulationSteps { get; init; } = 1;

    /// <summary>Tokens kept per row, special tokens included. <c>auto</c>: the model's limit, at most 512. Longer rows are cut at the end, and counted.</summary>
    public Auto<int> MaxLength { get; init; }

    // Learning rate

    /// <summary>Peak learning rate. <c>auto</c> chooses by method and model size.</summary>
    public Auto<double> LearningRate { get; init; } = 5e-5;

    public LearningRateSchedule LrSchedulerType { get; init; } = LearningRateSchedule.Linear;

    /// <summary>Steps of linear warm-up from 0; below 1, a share of all steps. <c>warmup_ratio</c> is understood as well.</summary>
    public double WarmupSteps { get; init; }

    // Optimizer

    /// <summary>Decoupled weight decay, on matrices only: biases and norms are spared.</summary>
    public double WeightDecay { get; init; }

    public double AdamBeta1 { get; init; } = 0.9;

    public double AdamBeta2 { get; init; } = 0.999;

    public double AdamEpsilon { get; init; } = 1e-8;

    /// <summary>Global L2 norm that gradients are clipped to; 0 switches clipping off.</summary>
    public double MaxGradNorm { get; init; } = 1.0;

    // Logging

    /// <summary>Steps between two log events; below 1, a share of all steps. Hugging Face: 500, which hides a short run.</summary>
    public double LoggingSteps { get; init; } = 10;

    /// <summary>Also log the very first step.</summary>
    public bool LoggingFirstStep { get; init; } = true;

    // Evaluation

    /// <summary>Hugging Face: <c>no</c>; a monitored service evaluates. Without validation rows it becomes <c>no</c>.</summary>
    public IntervalStrategy EvalStrategy { get; init; } = IntervalStrategy.Epoch;

    /// <summary>Steps between two evaluations, or a share below 1; only with <c>eval_strategy: steps</c>. Default: <see cref="LoggingSteps"/>.</summary>
    public double? EvalSteps { get; init; }

    /// <summary>Evaluate before the first step, so that there is a before and an after.</summary>
    public bool EvalOnStart { get; init; }

    // Saving

    public IntervalStrategy SaveStrategy { get; init; } = IntervalStrategy.Epoch;

    /// <summary>Steps between two checkpoints, or a share below 1; only with <c>save_strategy: steps</c>.</summary>
    public double SaveSteps { get; init; } = 500;

    /// <summary>Checkpoints kept beside the best one; older ones are deleted. Hugging Face: no limit. The last (final) and the best always stay.</summary>
    public int SaveTotalLimit { get; init; } = 1;

    // Best model

    /// <summary>End with the best checkpoint as the result. Hugging Face: false.</summary>
    public bool LoadBestModelAtEnd { get; init; } = true;

    /// <summary>Name of an evaluation metric, with or without <c>eval_</c>. Default: <c>loss</c>.</summary>
    public string? MetricForBestModel { get; init; }

    /// <summary>Default: false for a name that ends in <c>loss</c>, true otherwise.</summary>
    public bool? GreaterIsBetter { get; init; }

    /// <summary>Evaluations without improvement after which training stops; null never stops early.</summary>
    public int? EarlyStoppingPatience { get; init; }

    /// <summary>What counts as an improvement, in units of the metric.</summary>
    public double EarlyStoppingThreshold { get; init; }

    // Reproducibility and data order

    /// <summary>Seed of initial weights and dropout.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>Seed of the order of rows and of the validation split. Default: <see cref="Seed"/>.</summary>
    public long? DataSeed { get; init; }

    public TrainSamplingStrategy TrainSamplingStrategy { get; init; } = TrainSamplingStrategy.Random;

    /// <summary>Leave out the last, smaller batch of an epoch.</summary>
    public bool DataloaderDropLast { get; init; }
}

public enum LearningRateSchedule { Linear, Cosine, Constant, ConstantWithWarmup }

public enum IntervalStrategy { No, Steps, Epoch }

public enum TrainSamplingStrategy { Random, Sequential }
