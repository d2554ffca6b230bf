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

    /// <inheritdoc cref="Sum(ProblemType, Tensor, Tensor)"/>
    /// <param name="smoothing">Share of a label that is spread over all classes; of single labels only.</param>
    /// <param name="gamma">Of the focal loss (Lin et al. 2017, arXiv:1708.02002): each term times (1 − p)^γ, where p is the probability of what is true. 0: none.</param>
    /// <param name="weights">Of the rows, <c>[batch]</c>; null: all 1.</param>
    public static Tensor Sum(ProblemType problemType, Tensor logits, Tensor labels, double smoothing, double gamma, Tensor? weights)
    {
        if (smoothing == 0 && gamma == 0 && weights is null)
            return Sum(problemType, logits, labels);
        var exact = logits.to(ScalarType.Float32);
        var plain = problemType == ProblemType.MultiLabelClassification
            ? functional.binary_cross_entropy_with_logits(exact, labels, reduction: Reduction.None) // [batch, labels]
            : LanguageModelLoss.Each(exact, labels); // [batch]
        var terms = smoothing == 0 ? plain : LanguageModelLoss.Each(exact, labels, smoothing);
        if (gamma > 0)
            terms = (-plain.neg().expm1()).clamp_min(1e-12).pow(gamma) * terms; // Either loss is −log p.
        return (weights is null ? terms : terms * weights).sum();
    }

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
