using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Tasks;

/// <summary>The losses that transformers' sequence classification uses for each <c>problem_type</c>.</summary>
public static class ClassificationLoss
{
    /// <summary>Summed over the targets, so that micro-batches add up to the big batch.</summary>
    /// <param name="logits"><c>[batch, labels]</c>.</param>
    /// <param name="labels">Class ids <c>[batch]</c>; or 0/1 <c>[batch, labels]</c>; or numbers <c>[batch]</c>.</param>
    public static Tensor Sum(ProblemType problemType, Tensor logits, Tensor labels) => SumExact(problemType, logits.to(ScalarType.Float32), labels);

    private static Tensor SumExact(ProblemType problemType, Tensor logits, Tensor labels) => problemType switch
    {
        ProblemType.SingleLabelClassification => functional.cross_entropy(logits, labels, reduction: Reduction.Sum),
        ProblemType.MultiLabelClassification => functional.binary_cross_entropy_with_logits(logits, labels, reduction: Reduction.Sum),
        _ => functional.mse_loss(logits.squeeze(-1), labels, Reduction.Sum),
    };

    /// <summary>How many terms the mean loss is taken over.</summary>
    public static int Targets(ProblemType problemType, int rows, int labels) =>
        problemType == ProblemType.MultiLabelClassification ? rows * labels : rows;
}
