using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;

namespace FineTuneService.Contracts;

/// <summary>
/// Hugging Face's <c>TrainingArguments</c>: its names, and its defaults except where a property says otherwise.
/// Where a count may be a fraction below 1, it is a share of all optimizer steps, as there.
/// </summary>
public sealed record TrainingArguments
{
    // The limits are enforced when a specification is read, and shown in the OpenAPI document.

    // Duration and batch

    /// <summary>Epochs; may be fractional. <c>auto</c> chooses by the number of rows. Ignored when <see cref="MaxSteps"/> is positive.</summary>
    [Range(0.0, 10_000.0, MinimumIsExclusive = true)]
    public Auto<double> NumTrainEpochs { get; init; } = 3.0;

    /// <summary>Optimizer steps; −1 leaves the duration to <see cref="NumTrainEpochs"/>.</summary>
    [Range(-1, int.MaxValue), DeniedValues(0)]
    public int MaxSteps { get; init; } = -1;

    /// <summary>Rows in a micro-batch. <c>auto</c> chooses by the number of rows.</summary>
    [Range(1, 4096)]
    public Auto<int> PerDeviceTrainBatchSize { get; init; } = 8;

    /// <summary>Rows in an evaluation batch.</summary>
    [Range(1, 4096)]
    public int PerDeviceEvalBatchSize { get; init; } = 32;

    /// <summary>Micro-batches per optimizer step. The loss is normalised over all of them together, so the step equals that of one big batch.</summary>
    [Range(1, 65_536)]
    public int GradientAccumulationSteps { get; init; } = 1;

    /// <summary>Tokens kept per row, special tokens included. <c>auto</c>: the model's limit, at most 512. Longer rows are cut at the end, and counted.</summary>
    [Range(4, 1_048_576)]
    public Auto<int> MaxLength { get; init; }

    // Learning rate

    /// <summary>Peak learning rate. <c>auto</c> chooses by method and model size.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public Auto<double> LearningRate { get; init; } = 5e-5;

    /// <summary>The first steps of all but <c>constant</c> and <c>reduce_lr_on_plateau</c> warm up; the latter goes by <see cref="MetricForBestModel"/>, at each evaluation.</summary>
    public LearningRateSchedule LrSchedulerType { get; init; } = LearningRateSchedule.Linear;

    /// <summary>What the schedule can be told besides.</summary>
    public LearningRateOptions? LrSchedulerKwargs { get; init; }

    /// <summary>Steps of linear warm-up from 0; below 1, a share of all steps. <c>warmup_ratio</c> is understood as well.</summary>
    [Range(0.0, int.MaxValue)]
    public double WarmupSteps { get; init; }

    // Optimizer

    /// <summary>
    /// <c>adamw_torch_fused</c> and <c>adamw_hf</c> are other names of <c>adamw_torch</c>, <c>adamw_bnb_8bit</c> and <c>paged_adamw_8bit</c> of <c>adamw_8bit</c>, which keeps its state in 8 bits.
    /// <c>adafactor</c> keeps little more than a row and a column of a matrix, and leaves the rate to the schedule (transformers' <c>relative_step=False</c>, <c>scale_parameter=False</c>).
    /// </summary>
    public OptimizerName Optim { get; init; }

    /// <summary>Of <c>sgd</c>: <c>momentum=0.9,dampening=0,nesterov=true</c>, any of them.</summary>
    [Length(1, 200)]
    public string? OptimArgs { get; init; }

    /// <summary>The learning rate of each block as a share of that of the block above it; the head has the rate itself, the embeddings the lowest. 1: all alike.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double LayerwiseLrDecay { get; init; } = 1;

    /// <summary>Decoupled weight decay, on matrices only: biases and norms are spared.</summary>
    [Range(0.0, 1.0)]
    public double WeightDecay { get; init; }

    [Range(0.0, 1.0, MaximumIsExclusive = true)]
    public double AdamBeta1 { get; init; } = 0.9;

    [Range(0.0, 1.0, MaximumIsExclusive = true)]
    public double AdamBeta2 { get; init; } = 0.999;

    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double AdamEpsilon { get; init; } = 1e-8;

    /// <summary>Global L2 norm that gradients are clipped to; 0 switches clipping off.</summary>
    [Range(0.0, 1e9)]
    public double MaxGradNorm { get; init; } = 1.0;

    /// <summary>
    /// Decay of an average of the weights over the steps, such as 0.999: w̄ ← decay · w̄ + (1 − decay) · w. The average is what is evaluated and what checkpoints hold as the model.
    /// Default: none.
    /// </summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true, MaximumIsExclusive = true)]
    public double? EmaDecay { get; init; }

    // Regularisation

    /// <summary>Share of a label that is spread over all classes, in training only: an evaluation's loss is without it. Hugging Face smooths that too.</summary>
    [Range(0.0, 1.0, MaximumIsExclusive = true)]
    public double LabelSmoothingFactor { get; init; }

    /// <summary>NEFTune (arXiv:2310.05914): noise on the embeddings while training, uniform within ± alpha / √(length · width). Default: none.</summary>
    [Range(0.0, 1000.0, MinimumIsExclusive = true)]
    public double? NeftuneNoiseAlpha { get; init; }

    /// <summary>
    /// Against forgetting: adds this times KL(base model ‖ model), the mean over the tokens that are learnt, and logs the mean as <c>kl_to_base</c>; an evaluation's loss is without it. Usual are 0.1 to 1.
    /// With adapters the base is the model with its adapter off; with the method full, a second copy in memory. Only for tasks that predict tokens; dpo has <c>beta</c>.
    /// </summary>
    [Range(0.0, 1e6)]
    public double KlToBaseWeight { get; init; }

    // Precision and memory

    /// <summary>
    /// In what the model computes; weights are trained and stored in fp32, and losses taken in it. <c>bf16</c> pays on GPUs since Ampere and CPUs with AVX512-BF16 or AMX,
    /// <c>fp16</c> on older GPUs: its loss is scaled, so that small gradients survive, and a step that overflows is skipped.
    /// </summary>
    public MixedPrecision MixedPrecision { get; init; }

    /// <summary>Round the factors of fp32 matrix products to TF32's ten bits on GPUs since Ampere: several times as fast, three digits instead of seven. Other devices know no such products.</summary>
    public bool Tf32 { get; init; }

    /// <summary>Keep of each block of the model its input only, and compute the rest again for the gradient: much less memory, about a third more time.</summary>
    public bool GradientCheckpointing { get; init; }

    // Logging

    /// <summary>Steps between two log events; below 1, a share of all steps. Hugging Face: 500, which hides a short run.</summary>
    [Range(0.0, int.MaxValue, MinimumIsExclusive = true)]
    public double LoggingSteps { get; init; } = 10;

    /// <summary>Also log the very first step.</summary>
    public bool LoggingFirstStep { get; init; } = true;

    // Evaluation

    /// <summary>Hugging Face: <c>no</c>; a monitored service evaluates. Without validation rows it becomes <c>no</c>.</summary>
    public IntervalStrategy EvalStrategy { get; init; } = IntervalStrategy.Epoch;

    /// <summary>Steps between two evaluations, or a share below 1; only with <c>eval_strategy: steps</c>. Default: <see cref="LoggingSteps"/>.</summary>
    [Range(0.0, int.MaxValue, MinimumIsExclusive = true)]
    public double? EvalSteps { get; init; }

    /// <summary>Evaluate before the first step, so that there is a before and an after.</summary>
    public bool EvalOnStart { get; init; }

    /// <summary>
    /// Before the first step, at every evaluation and at the end, also score general text that is not learnt (400 sentences of Wikipedia): <c>probe_loss</c>, and the finding
    /// <c>forgetting</c> where it rises. Only for tasks that predict tokens.
    /// </summary>
    public bool ForgettingCheck { get; init; }

    /// <summary>
    /// How much forgetting counts where checkpoints are compared: evaluations give <c>eval_forgetting_aware_loss</c>, their loss and this times what the losses on general text and on earlier datasets
    /// have risen by, on average, since before the first step; <see cref="MetricForBestModel"/> is that unless named. Needs <see cref="ForgettingCheck"/> or <c>dataset.earlier</c>.
    /// </summary>
    [Range(0.0, 1e6)]
    public double ForgettingWeight { get; init; }

    // Saving

    public IntervalStrategy SaveStrategy { get; init; } = IntervalStrategy.Epoch;

    /// <summary>Steps between two checkpoints, or a share below 1; only with <c>save_strategy: steps</c>.</summary>
    [Range(0.0, int.MaxValue, MinimumIsExclusive = true)]
    public double SaveSteps { get; init; } = 500;

    /// <summary>Checkpoints kept beside the best one; older ones are deleted. Hugging Face: no limit. The last (final) and the best always stay.</summary>
    [Range(1, 10_000)]
    public int SaveTotalLimit { get; init; } = 1;

    // Best model

    /// <summary>End with the best checkpoint as the result. Hugging Face: false.</summary>
    public bool LoadBestModelAtEnd { get; init; } = true;

    /// <summary>Name of an evaluation metric, with or without <c>eval_</c>. Default: <c>loss</c>; see <see cref="ForgettingWeight"/>.</summary>
    [Length(1, 64)]
    public string? MetricForBestModel { get; init; }

    /// <summary>Default: false for a name that ends in <c>loss</c>, <c>perplexity</c>, <c>mse</c> or <c>mae</c>, true otherwise.</summary>
    public bool? GreaterIsBetter { get; init; }

    /// <summary>Evaluations without improvement after which training stops; null never stops early.</summary>
    [Range(1, 10_000)]
    public int? EarlyStoppingPatience { get; init; }

    /// <summary>What counts as an improvement, in units of the metric.</summary>
    [Range(0.0, 1e9)]
    public double EarlyStoppingThreshold { get; init; }

    // When training diverges

    /// <summary>What happens when a loss or the norm of the gradients is no number: the run fails, or goes back to its last checkpoint with half the learning rate.</summary>
    public DivergencePolicy OnDivergence { get; init; }

    /// <summary>How often a run may go back before it fails; only with <c>on_divergence: rollback</c>.</summary>
    [Range(1, 100)]
    public int MaxRollbacks { get; init; } = 3;

    // Reproducibility and data order

    /// <summary>Seed of initial weights and dropout.</summary>
    [Range(0.0, uint.MaxValue)]
    public long Seed { get; init; } = 42;

    /// <summary>Seed of the order of rows and of the validation split. Default: <see cref="Seed"/>.</summary>
    [Range(0.0, uint.MaxValue)]
    public long? DataSeed { get; init; }

    public TrainSamplingStrategy TrainSamplingStrategy { get; init; } = TrainSamplingStrategy.Random;

    /// <summary>Leave out the last, smaller batch of an epoch.</summary>
    public bool DataloaderDropLast { get; init; }

    // Reporting

    /// <summary>Where the run's numbers go besides, while it runs: <c>mlflow</c>, where the service has a server; <c>none</c> is nowhere, as is leaving it out. A string, or a list.</summary>
    public OneOrMany<string>? ReportTo { get; init; }
}

public enum OptimizerName
{
    AdamwTorch,
    AdamwTorchFused,
    AdamwHf,
    Sgd,
    Adafactor,

    [JsonStringEnumMemberName("adamw_8bit")]
    Adamw8bit,

    [JsonStringEnumMemberName("adamw_bnb_8bit")]
    AdamwBnb8bit,

    [JsonStringEnumMemberName("paged_adamw_8bit")]
    PagedAdamw8bit,
}

public enum MixedPrecision { No, Bf16, Fp16 }

public enum DivergencePolicy { Fail, Rollback }

public enum IntervalStrategy { No, Steps, Epoch }

public enum TrainSamplingStrategy
{
    Random,
    Sequential,

    /// <summary>Random, but rows of like length share a batch, so that little is padded; the longest comes first.</summary>
    GroupByLength,
}
