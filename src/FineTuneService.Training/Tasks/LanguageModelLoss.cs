using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Tasks;

/// <summary>Cross-entropy over tokens, as transformers' <c>loss_utils.py</c> has it.</summary>
public static class LanguageModelLoss
{
    /// <summary>The label of a token that is not learnt.</summary>
    public const long Ignored = -100;

    /// <summary>Summed over the tokens that count.</summary>
    /// <param name="logits"><c>[batch, seq, classes]</c>, or any other leading shape.</param>
    /// <param name="labels"><c>[batch, seq]</c>.</param>
    /// <param name="weights"><c>[batch, seq]</c>, or null.</param>
    /// <param name="smoothing">See <see cref="Each"/>.</param>
    /// <param name="mayOverwrite">See <see cref="Each"/>.</param>
    public static Tensor Sum(Tensor logits, Tensor labels, Tensor? weights = null, double smoothing = 0, bool mayOverwrite = false)
    {
        var losses = Each(logits.flatten(0, -2), labels.flatten(), smoothing, mayOverwrite); // [batch · seq]
        return (weights is null ? losses : losses * weights.flatten()).sum();
    }

    /// <summary>As <see cref="Sum"/>, where the logits of a token predict the label of the next one: labels stand where their tokens stand, and are shifted here.</summary>
    public static Tensor CausalSum(Tensor logits, Tensor labels, Tensor? weights = null) =>
        Sum(logits, Shifted(labels), weights is null ? null : Shifted(weights));

    /// <summary>One place to the left; the labels move, not the logits, which are larger by the vocabulary.</summary>
    /// <param name="values">Labels or weights, <c>[batch, seq]</c>.</param>
    public static Tensor Shifted(Tensor values) => functional.pad(values[.., 1..], [0, 1], PaddingModes.Constant, value: values.is_floating_point() ? 0 : Ignored);

    /// <summary>−log p of each label, fp32; 0 where it is not learnt.</summary>
    /// <param name="logits"><c>[tokens, classes]</c>.</param>
    /// <param name="labels"><c>[tokens]</c>.</param>
    /// <param name="smoothing">Share of the label that is spread over all classes, as transformers' <c>LabelSmoother</c> does: (1 − ε) · −log p of the label + ε · −log p, averaged over the classes.</param>
    /// <param name="mayOverwrite">Whether the backward pass may write over the logits: nobody else needs them by then.</param>
    internal static Tensor Each(Tensor logits, Tensor labels, double smoothing = 0, bool mayOverwrite = false) => TokenCrossEntropy.Of(logits, labels, smoothing, mayOverwrite);

    /// <summary>The exponential of a mean loss, but never infinite: no JSON holds such a number.</summary>
    public static double Perplexity(double loss) => Math.Min(Math.Exp(loss), double.MaxValue);

    /// <summary>Where the label gets the highest logit, <c>[tokens]</c>; an ignored label is no class.</summary>
    internal static Tensor Hits(Tensor logits, Tensor labels) => logits.detach().argmax(-1).eq(labels);
}
