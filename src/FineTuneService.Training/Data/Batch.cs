using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Data;

/// <summary>Rows padded to the longest of them, ready for a model.</summary>
/// <param name="Labels">What the task's loss compares the logits with; rows first.</param>
/// <param name="Rows">Rows in the batch.</param>
/// <param name="Tokens">Tokens that are not padding.</param>
/// <param name="Targets">Terms of the loss, or the sum of their weights: the loss of an accumulated batch is divided by the sum of these.</param>
public sealed record Batch(ModelInputs Inputs, Tensor Labels, int Rows, int Tokens, double Targets) : IDisposable
{
    /// <summary>Weight of each label in the loss, of the labels' shape; null when all count alike.</summary>
    public Tensor? Weights { get; init; }

    /// <summary>Log-probability that the base model gives to each row of the inputs, <c>[rows]</c>; null where the loss knows no reference.</summary>
    public Tensor? ReferenceLogProbabilities { get; init; }

    /// <summary><c>[learnt]</c>, int64: places in the flattened <c>[batch · seq]</c> whose next token is learnt; of a causal model no other logits are needed. Null: all may be.</summary>
    public Tensor? LearntPlaces { get; init; }

    /// <summary>By what the sum of its losses will be multiplied before its gradient is taken; null: nobody knows yet.</summary>
    public double? LossFactor { get; init; }

    /// <summary>Stands in where a process has no micro-batch of its own: all that is computed of it counts for nothing.</summary>
    public bool IsIdle { get; init; }

    /// <summary>This batch on <paramref name="device"/>; itself when it is there already.</summary>
    public Batch To(Device device) => Labels.device == device
        ? this
        : this with
        {
            Inputs = Inputs.To(device),
            Labels = Labels.to(device),
            Weights = Weights?.to(device),
            ReferenceLogProbabilities = ReferenceLogProbabilities?.to(device),
            LearntPlaces = LearntPlaces?.to(device),
        };

    public void Dispose()
    {
        Inputs.Dispose();
        Labels.Dispose();
        Weights?.Dispose();
        ReferenceLogProbabilities?.Dispose();
        LearntPlaces?.Dispose();
    }
}

/// <summary>The rows of one split, tokenized. Collating is called from a background thread.</summary>
public abstract class ExampleSet
{
    public abstract int Count { get; }

    /// <summary>How an epoch draws from rows that are replayed; null: it has all rows.</summary>
    public ReplayMix? Replay { get; internal set; }

    public int RowsPerEpoch => Replay?.RowsPerEpoch ?? Count;

    /// <summary>Tokens of a row.</summary>
    public abstract int Length(int row);

    /// <summary>Whether a row holds several texts, which must not see each other.</summary>
    public virtual bool IsPacked(int row) => false;

    /// <param name="chosen">Which rows.</param>
    public abstract Batch Collate(ReadOnlySpan<int> chosen);

    /// <summary>For training, where a set may show its rows otherwise in every epoch: a function of epoch and rows alone, so that a resumed run sees the same.</summary>
    public virtual Batch Collate(ReadOnlySpan<int> chosen, int epoch) => Collate(chosen);

    /// <summary>The line of its file that a row begins at; null where a row is no line, or nobody remembers.</summary>
    public virtual long? LineOf(int row) => null;
}
