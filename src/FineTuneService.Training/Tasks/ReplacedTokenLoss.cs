using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Tasks;

/// <summary>Binary cross-entropy over tokens, as transformers' <c>ElectraForPreTraining</c> has it.</summary>
public static class ReplacedTokenLoss
{
    /// <summary>Summed over the tokens that count.</summary>
    /// <param name="logits"><c>[batch, seq]</c>.</param>
    /// <param name="labels"><c>[batch, seq]</c>: 1 replaced, 0 not, <see cref="LanguageModelLoss.Ignored"/> for padding.</param>
    public static Tensor Sum(Tensor logits, Tensor labels)
    {
        var counts = labels.ne(LanguageModelLoss.Ignored);
        return functional.binary_cross_entropy_with_logits(logits.to(ScalarType.Float32), labels.clamp(min: 0).to(ScalarType.Float32), counts.to(ScalarType.Float32), Reduction.Sum);
    }
}
