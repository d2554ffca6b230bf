using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FineTuneService.Contracts;

/// <summary>The body of <c>POST /sweeps</c>: a job's specification, and which of its fields take which values.</summary>
public sealed record SweepSpec
{
    /// <summary>The most jobs of a sweep, and the most that it starts with.</summary>
    public const int MostTrials = 256;

    /// <summary>A name for people; need not be unique. Jobs whose specification has no name bear it too.</summary>
    [Length(1, 128)]
    public string? Name { get; init; }

    /// <summary>The body of a <c>POST /jobs</c>, less what the parameters set.</summary>
    public required JsonElement Spec { get; init; }

    /// <summary>JSON pointers into <see cref="Spec"/>, such as <c>/training/learning_rate</c>, and what stands there in a trial.</summary>
    [MaxLength(32)]
    public required IReadOnlyDictionary<string, ParameterSpace> Parameters { get; init; }

    /// <summary>Which points of the space are tried: <c>grid</c> unless given. A string is short for an object of that type.</summary>
    public SweepStrategy Strategy { get; init; } = new GridSearch();

    /// <summary>Name of an evaluation metric, with or without <c>eval_</c>: every job's <c>metric_for_best_model</c>. Default: that of the specification, else <c>loss</c>.</summary>
    [Length(1, 64)]
    public string? Metric { get; init; }

    /// <summary>Default: as <c>greater_is_better</c> of the specification, else <c>minimize</c> for a name that ends in <c>loss</c>, <c>perplexity</c>, <c>mse</c> or <c>mae</c>.</summary>
    public SweepDirection? Direction { get; init; }

    /// <summary>Jobs of this sweep that wait in the queue or run at the same time; the next one is queued when one of them has ended.</summary>
    [Range(1, MostTrials)]
    public int MaxConcurrentJobs { get; init; } = 4;
}

public enum SweepDirection { Minimize, Maximize }

/// <summary>What a parameter may be: one of <c>values</c>, or a number from <c>min</c> to <c>max</c>.</summary>
public sealed record ParameterSpace
{
    /// <summary>Whatever the specification allows there; no value twice.</summary>
    [Length(1, SweepSpec.MostTrials)]
    public IReadOnlyList<JsonElement>? Values { get; init; }

    /// <summary>The least number, itself included.</summary>
    public double? Min { get; init; }

    /// <summary>The greatest number, itself included.</summary>
    public double? Max { get; init; }

    /// <summary>How numbers are drawn between the two: <c>uniform</c> unless given.</summary>
    public ParameterDistribution? Distribution { get; init; }
}

public enum ParameterDistribution
{
    /// <summary>Every number is as likely.</summary>
    Uniform,

    /// <summary>Every order of magnitude is as likely; for learning rates.</summary>
    LogUniform,

    /// <summary>Every whole number is as likely.</summary>
    IntUniform,
}

/// <summary>Which points of a space are tried, and for how long.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(GridSearch), "grid")]
[JsonDerivedType(typeof(RandomSearch), "random")]
[JsonDerivedType(typeof(SuccessiveHalving), "successive_halving")]
public abstract record SweepStrategy;

/// <summary>Every combination of the values.</summary>
public sealed record GridSearch : SweepStrategy;

/// <summary>Points drawn at random, none of them twice.</summary>
public sealed record RandomSearch : SweepStrategy
{
    /// <summary>How many points.</summary>
    [Range(1, SweepSpec.MostTrials)]
    public required int Trials { get; init; }

    /// <summary>The same seed draws the same points, and the first of them whatever <see cref="Trials"/> is.</summary>
    [Range(0.0, uint.MaxValue)]
    public long Seed { get; init; } = 42;
}

/// <summary>
/// Many points for a short time, the best of them for longer, and so on (Jamieson and Talwalkar 2016, arXiv:1502.07943).
/// Each rung trains anew from the base model: a schedule's length depends on the steps, so a short run's checkpoint is no part of a long one.
/// </summary>
public sealed record SuccessiveHalving : SweepStrategy
{
    /// <summary>How many points the first rung has, drawn as by random search.</summary>
    [Range(2, SweepSpec.MostTrials)]
    public required int Trials { get; init; }

    /// <summary>When a rung has ended, the best 1/<see cref="ReductionFactor"/> of it go on, each with so many times the resource.</summary>
    [Range(2, 100)]
    public int ReductionFactor { get; init; } = 3;

    /// <summary>How much of the resource the first rung's jobs get.</summary>
    [Range(0.0, 1e6, MinimumIsExclusive = true)]
    public required double MinResource { get; init; }

    /// <summary>The argument of <c>training</c> that a rung multiplies.</summary>
    public SweepResource Resource { get; init; } = SweepResource.MaxSteps;

    /// <summary>The same seed draws the same points, and the first of them whatever <see cref="Trials"/> is.</summary>
    [Range(0.0, uint.MaxValue)]
    public long Seed { get; init; } = 42;

    /// <summary>Its name in <see cref="TrainingArguments"/>, as JSON has it.</summary>
    [JsonIgnore]
    public string ResourceName => JsonNamingPolicy.SnakeCaseLower.ConvertName(Resource.ToString());

    [JsonIgnore]
    public string ResourcePointer => $"/training/{ResourceName}";

    /// <summary>How many go on from a rung of so many; 0: that rung was the last.</summary>
    public int Survivors(int trials) => trials / ReductionFactor;

    /// <param name="rung">From 0.</param>
    public double ResourceOf(int rung) => MinResource * Math.Pow(ReductionFactor, rung);

    /// <summary>The last rung, if no job fails.</summary>
    public int LastRung()
    {
        var rung = 0;
        for (var trials = Survivors(Trials); trials > 0; trials = Survivors(trials))
            rung++;
        return rung;
    }
}

public enum SweepResource { MaxSteps, NumTrainEpochs }
