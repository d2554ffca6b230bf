using System.Text.Json.Serialization;

namespace FineTuneService.Contracts;

/// <summary>
/// One line of a run's <c>events.jsonl</c>: the truth about a run, of which the database is a projection.
/// <see cref="Seq"/> counts from 1 without gaps over all attempts, so a reader can always tell what it has seen.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(RunStarted), "started")]
[JsonDerivedType(typeof(StepLogged), "log")]
[JsonDerivedType(typeof(Evaluated), "evaluate")]
[JsonDerivedType(typeof(Generated), "generate")]
[JsonDerivedType(typeof(CheckpointSaved), "save")]
[JsonDerivedType(typeof(CheckpointDeleted), "delete")]
[JsonDerivedType(typeof(Noted), "note")]
[JsonDerivedType(typeof(Diagnosed), "diagnosis")]
[JsonDerivedType(typeof(RunSucceeded), "succeeded")]
[JsonDerivedType(typeof(RunFailed), "failed")]
[JsonDerivedType(typeof(RunStopped), "stopped")]
public abstract record TrainingEvent
{
    /// <summary>Position in the log, from 1.</summary>
    public long Seq { get; init; }

    /// <summary>Which attempt wrote it, from 1.</summary>
    public int Attempt { get; init; }

    public DateTimeOffset Time { get; init; }

    /// <summary>Optimizer steps done when it was written.</summary>
    public int Step { get; init; }

    /// <summary>Epochs done, fractional.</summary>
    public double Epoch { get; init; }
}

/// <summary>
/// An attempt begins at <see cref="TrainingEvent.Step"/>: 0, or that of the checkpoint it resumes from.
/// Everything an earlier attempt logged beyond that step is void; readers drop it.
/// </summary>
public sealed record RunStarted : TrainingEvent
{
    public required int TotalSteps { get; init; }

    /// <summary>Rows of an epoch.</summary>
    public required int TrainRows { get; init; }

    /// <summary>Of them, those of <c>dataset.replay</c>.</summary>
    public int ReplayedRows { get; init; }
    public required int ValidationRows { get; init; }
    public required long TrainableParameters { get; init; }
    public required long TotalParameters { get; init; }
    public required string Device { get; init; }

    /// <summary>Rows cut to <c>max_length</c>, and the tokens lost by it.</summary>
    public required int TruncatedRows { get; init; }
    public required long TruncatedTokens { get; init; }

    /// <summary>Of a classifier's training rows those whose text is there more than once, and those of them that have another label than most of their kind.</summary>
    public int RepeatedRows { get; init; }

    /// <inheritdoc cref="RepeatedRows"/>
    public int ContradictedRows { get; init; }

    /// <summary>What the run is expected to need of memory, on the device that it trains on.</summary>
    public long? ForecastMemoryBytes { get; init; }

    /// <summary>The last step of which something earlier counts. From step 0 nothing does: it began anew.</summary>
    [JsonIgnore]
    public int LastValidStep => Step == 0 ? -1 : Step;
}

/// <summary>Metrics of a training step: <c>loss</c> (mean since the last log), <c>grad_norm</c>, <c>learning_rate</c>, <c>samples_per_second</c>, …</summary>
public sealed record StepLogged : TrainingEvent
{
    /// <summary>Name of the metric that tells the most memory that the run has needed so far, in bytes.</summary>
    public const string PeakMemory = "peak_memory_bytes";

    public required IReadOnlyDictionary<string, double> Metrics { get; init; }

    /// <summary>Seconds to the end at the present pace.</summary>
    public double? EtaSeconds { get; init; }
}

/// <summary>Metrics of one split, prefixed <c>eval_</c>, <c>test_</c>, <c>probe_</c>, or <c>earlier_0_</c> and so on.</summary>
public sealed record Evaluated : TrainingEvent
{
    /// <summary><c>validation</c>, <c>test</c>, <c>probe</c>: general text that is not learnt, or <c>earlier_0</c>: the first of <c>dataset.earlier</c>.</summary>
    public required string Split { get; init; }
    public required IReadOnlyDictionary<string, double> Metrics { get; init; }

    /// <summary>Rows are true classes, columns predictions, both in the order of <see cref="Labels"/>; single-label classification only.</summary>
    public int[][]? ConfusionMatrix { get; init; }
    public string[]? Labels { get; init; }
}

/// <summary>What a language model makes of the same few prompts at each evaluation, the most probable token every time: so a person sees it learn.</summary>
public sealed record Generated : TrainingEvent
{
    public required IReadOnlyList<GeneratedSample> Samples { get; init; }
}

/// <param name="Prompt">As the model reads it, special tokens spelled out.</param>
/// <param name="Text">What it adds.</param>
public sealed record GeneratedSample(string Prompt, string Text);

/// <summary>A checkpoint is complete on disk. <see cref="Best"/>: it is now the best one, and no other is.</summary>
public sealed record CheckpointSaved : TrainingEvent
{
    /// <summary>Folder relative to the run's folder, with forward slashes.</summary>
    public required string Path { get; init; }
    public required long Bytes { get; init; }
    public required bool Best { get; init; }

    /// <summary>The state after the last step.</summary>
    public required bool Final { get; init; }

    /// <summary>The last evaluation at this step, empty without one.</summary>
    public required IReadOnlyDictionary<string, double> Metrics { get; init; }
}

/// <summary>A checkpoint was deleted by <c>save_total_limit</c>; <see cref="TrainingEvent.Step"/> is the step of the deleted one.</summary>
public sealed record CheckpointDeleted : TrainingEvent
{
    public required string Path { get; init; }
}

/// <summary>Something a person should read; changes nothing.</summary>
public sealed record Noted : TrainingEvent
{
    /// <summary><c>info</c> or <c>warning</c>.</summary>
    public required string Level { get; init; }

    /// <summary>A short stable name, such as <c>early_stopping</c>.</summary>
    public required string Code { get; init; }
    public required string Message { get; init; }
}

/// <summary>The run's numbers show something; of two with the same code the later counts.</summary>
public sealed record Diagnosed : TrainingEvent
{
    public required Finding Finding { get; init; }
}

/// <summary>The run reached its end. <see cref="BestStep"/> is null without evaluation.</summary>
public sealed record RunSucceeded : TrainingEvent
{
    public required int FinalStep { get; init; }
    public int? BestStep { get; init; }
    public string? BestMetricName { get; init; }
    public double? BestMetric { get; init; }
    public required IReadOnlyDictionary<string, double> Metrics { get; init; }

    /// <summary>The most memory that the run has needed, evaluations and checkpoints included; null where nobody could measure it.</summary>
    public long? PeakMemoryBytes { get; init; }
}

/// <summary>The run cannot go on. With faults, the user can mend it; without, it is a defect or a lost resource.</summary>
public sealed record RunFailed : TrainingEvent
{
    public required string Reason { get; init; }
    public required IReadOnlyList<Fault> Faults { get; init; }
}

/// <summary>Stopped on request after a checkpoint was written; resuming continues exactly there.</summary>
public sealed record RunStopped : TrainingEvent
{
    public required string Reason { get; init; }
}
