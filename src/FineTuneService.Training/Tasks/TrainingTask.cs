using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>A task's options, and the way to its rows.</summary>
public abstract record TrainingTaskConfig : TaskConfig
{
    /// <param name="dataset">With paths, and its columns resolved.</param>
    /// <exception cref="FaultException">With file and line of each fault in the data.</exception>
    public abstract TrainingTask Load(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer);
}

/// <summary>What is learnt: the rows, the head that a model needs for them, the loss and the metrics.</summary>
public abstract class TrainingTask
{
    public abstract ExampleSet Train { get; }

    /// <summary>Null when nothing is held out.</summary>
    public abstract ExampleSet? Validation { get; }

    public abstract ExampleSet? Test { get; }

    /// <summary>Rows cut to the maximal length, and the tokens lost by it.</summary>
    public abstract (int Rows, long Tokens) Truncated { get; }

    /// <summary>Facts about the data that a person should read before the first step.</summary>
    public virtual IEnumerable<string> Notes => [];

    /// <summary>The base model's configuration, with this task's labels.</summary>
    public abstract PretrainedConfig Configure(PretrainedConfig config);

    /// <exception cref="FaultException">When the family has no head for this task.</exception>
    public abstract PretrainedModel CreateModel(PretrainedConfig config);

    /// <summary>The loss summed (not averaged) over the batch's targets.</summary>
    public abstract Tensor LossSum(Tensor logits, Batch batch);

    public abstract Scorer CreateScorer();
}

/// <summary>Collects the logits of one pass over a split and turns them into metrics.</summary>
public abstract class Scorer
{
    public abstract void Add(Tensor logits, Batch batch);

    public abstract Scores Compute();
}

/// <summary>Metrics by name, without prefix; the confusion matrix (rows true, columns predicted) where classes exclude each other.</summary>
public sealed record Scores(IReadOnlyDictionary<string, double> Metrics, int[][]? ConfusionMatrix = null, string[]? Labels = null);
