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
    public static Tensor Sum(Tensor logits, Tensor labels, Tensor? weights = null)
    {
        var flat = logits.flatten(0, -2).to(ScalarType.Float32); // [batch · seq, classes]
        return weights is null
            ? functional.cross_entropy(flat, labels.flatten(), ignore_index: Ignored, reduction: Reduction.Sum)
            : (functional.cross_entropy(flat, labels.flatten(), ignore_index: Ignored, reduction: Reduction.None) * weights.flatten()).sum();
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
    internal static Tensor Each(Tensor logits, Tensor labels) => functional.cross_entropy(logits.to(ScalarType.Float32), labels, ignore_index: Ignored, reduction: Reduction.None);

    /// <summary>Where the label gets the highest logit, <c>[tokens]</c>; an ignored label is no class.</summary>
    internal static Tensor Hits(Tensor logits, Tensor labels) => logits.detach().argmax(-1).eq(labels);
}
