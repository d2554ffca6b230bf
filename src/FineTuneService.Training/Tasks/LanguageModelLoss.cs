using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Tasks;

/// <summary>Cross-entropy over tokens, as transformers' <c>loss_utils.py</c> has it.</summary>
public static class LanguageModelLoss
{
    /// <summary>The label of a token that is not learnt.</summary>
    public const long Ignored = -100;

    /// <summary>Summed over the tokens that count.</summary>
    /// <param name="logits"><c>[batch, seq, classes]</c>.</param>
    /// <param name="labels"><c>[batch, seq]</c>.</param>
    /// <param name="weights"><c>[batch, seq]</c>, or null.</param>
    public static Tensor Sum(Tensor logits, Tensor labels, Tensor? weights = null)
    {
        var flat = logits.flatten(0, 1); // [batch · seq, classes]
        return weights is null
            ? functional.cross_entropy(flat, labels.flatten(), ignore_index: Ignored, reduction: Reduction.Sum)
            : (functional.cross_entropy(flat, labels.flatten(), ignore_index: Ignored, reduction: Reduction.None) * weights.flatten()).sum();
    }

    /// <summary>As <see cref="Sum"/>, where the logits of a token predict the label of the next one: labels stand where their tokens stand, and are shifted here.</summary>
    public static Tensor CausalSum(Tensor logits, Tensor labels, Tensor? weights = null) =>
        Sum(logits[.., ..^1], labels[.., 1..], weights?[.., 1..]);
}
