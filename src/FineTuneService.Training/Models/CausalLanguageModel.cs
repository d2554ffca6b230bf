using static TorchSharp.torch;

namespace FineTuneService.Training.Models;

/// <summary>A model that predicts the next token, in its two halves: the second's result is as wide as the vocabulary, and need not be there for all tokens at once.</summary>
public abstract class CausalLanguageModel(PretrainedConfig config) : PretrainedModel(config)
{
    /// <returns>States after the last norm, <c>[batch, seq, hidden]</c>.</returns>
    public abstract Tensor Hidden(ModelInputs inputs);

    /// <param name="hidden"><c>[…, hidden]</c>.</param>
    /// <returns><c>[…, vocabulary]</c>.</returns>
    public abstract Tensor Logits(Tensor hidden);

    public sealed override Tensor forward(ModelInputs inputs) => Logits(inputs.Kept(Hidden(inputs)));
}
