using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;

namespace FineTuneService.Contracts;

/// <summary>How the learning rate goes over a run: transformers' <c>lr_scheduler_type</c>.</summary>
public enum LearningRateSchedule
{
    Linear,
    Cosine,
    CosineWithRestarts,
    Polynomial,
    Constant,
    ConstantWithWarmup,
    InverseSqrt,
    ReduceLrOnPlateau,
    CosineWithMinLr,
    CosineWarmupWithMinLr,
    WarmupStableDecay,
}

/// <summary>transformers' <c>lr_scheduler_kwargs</c>: what a schedule can be told besides. Each schedule knows some of these; the defaults are those of transformers and PyTorch.</summary>
public sealed record LearningRateOptions
{
    /// <summary>Waves of a cosine (default 0.5: from the peak to its foot), or, of <c>cosine_with_restarts</c>, how often it starts (default 1).</summary>
    [Range(0.0, 10_000.0, MinimumIsExclusive = true)]
    public double? NumCycles { get; init; }

    /// <summary><c>polynomial</c>: its exponent. Default: 1.</summary>
    [Range(0.0, 100.0, MinimumIsExclusive = true)]
    public double? Power { get; init; }

    /// <summary><c>polynomial</c>: the rate at the end. Default: 1e-7.</summary>
    [Range(0.0, 1.0)]
    public double? LrEnd { get; init; }

    /// <summary>The lowest rate of a cosine with one, or of <c>reduce_lr_on_plateau</c> (default 0).</summary>
    [Range(0.0, 1.0)]
    public double? MinLr { get; init; }

    /// <summary>The lowest rate of a cosine, as a share of the peak; in place of <see cref="MinLr"/>.</summary>
    [Range(0.0, 1.0)]
    public double? MinLrRate { get; init; }

    /// <summary><c>cosine_warmup_with_min_lr</c>: the first rate, as a share of the peak. Default: one step's share of the warm-up.</summary>
    [Range(0.0, 1.0)]
    public double? WarmupLrRate { get; init; }

    /// <summary><c>inverse_sqrt</c>: steps after which the rate has fallen to 1/√2. Default: the steps of warm-up, or 10000 without.</summary>
    [Range(1, int.MaxValue)]
    public int? Timescale { get; init; }

    /// <summary><c>warmup_stable_decay</c>: steps at the peak. Default: those between warm-up and decay.</summary>
    [Range(0, int.MaxValue)]
    public int? NumStableSteps { get; init; }

    /// <summary><c>warmup_stable_decay</c>: steps of the decay; below 1, a share of all steps.</summary>
    [Range(0.0, int.MaxValue, MinimumIsExclusive = true)]
    public double? NumDecaySteps { get; init; }

    /// <summary><c>warmup_stable_decay</c>. Default: <c>linear</c>.</summary>
    public RateShape? WarmupType { get; init; }

    /// <summary><c>warmup_stable_decay</c>. Default: <c>cosine</c>.</summary>
    public RateShape? DecayType { get; init; }

    /// <summary><c>warmup_stable_decay</c>: the lowest rate, as a share of the peak. Default: 0.</summary>
    [Range(0.0, 1.0)]
    public double? MinLrRatio { get; init; }

    /// <summary><c>reduce_lr_on_plateau</c>: by what the rate is multiplied. Default: 0.1.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true, MaximumIsExclusive = true)]
    public double? Factor { get; init; }

    /// <summary><c>reduce_lr_on_plateau</c>: evaluations without improvement that are let pass. Default: 10.</summary>
    [Range(0, 10_000)]
    public int? Patience { get; init; }

    /// <summary><c>reduce_lr_on_plateau</c>: what counts as an improvement. Default: 1e-4.</summary>
    [Range(0.0, 1e9)]
    public double? Threshold { get; init; }

    /// <summary><c>reduce_lr_on_plateau</c>: whether the threshold is a share of the best value or a difference. Default: <c>rel</c>.</summary>
    public PlateauThreshold? ThresholdMode { get; init; }

    /// <summary><c>reduce_lr_on_plateau</c>: evaluations after a reduction that do not count. Default: 0.</summary>
    [Range(0, 10_000)]
    public int? Cooldown { get; init; }

    /// <summary><c>reduce_lr_on_plateau</c>: a smaller change of the rate is left undone. Default: 1e-8.</summary>
    [Range(0.0, 1.0)]
    public double? Eps { get; init; }
}

/// <summary>The way between the lowest rate and the peak.</summary>
public enum RateShape
{
    Linear,
    Cosine,

    [JsonStringEnumMemberName("1-sqrt")]
    OneMinusSqrt,
}

public enum PlateauThreshold { Rel, Abs }
