using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>
/// What a causal model makes of the labels, token by token. The logits, <c>[tokens, vocabulary]</c>, would be the largest tensor of a step by far:
/// where they are large, they are made for some tokens at a time, and once more for their gradient.
/// </summary>
/// <param name="Losses">−log p of each token's label, <c>[batch, seq]</c>, fp32; 0 where it is not learnt. Labels stand where their tokens stand; the loss stands one before.</param>
/// <param name="Hits">1 where the label has the highest logit, <c>[batch, seq]</c>, without gradient.</param>
public readonly record struct NextTokens(Tensor Losses, Tensor Hits)
{
    /// <summary>Logits at a time: 64 MB of fp32.</summary>
    internal const long Elements = 1 << 24;

    /// <param name="elements">Logits at a time.</param>
    /// <param name="smoothing">See <see cref="LanguageModelLoss.Each"/>.</param>
    public static NextTokens Of(CausalLanguageModel model, Batch batch, long elements = Elements, double smoothing = 0)
    {
        var labels = LanguageModelLoss.Shifted(batch.Labels).flatten(); // [tokens]
        var hidden = model.Hidden(batch.Inputs).flatten(0, 1); // [tokens, hidden]
        var length = Math.Max(1, elements / model.Config.VocabSize);
        if (hidden.size(0) <= length)
        {
            var logits = model.Logits(hidden);
            return Shaped([LanguageModelLoss.Each(logits, labels, smoothing)], [LanguageModelLoss.Hits(logits, labels)]);
        }
        var chunks = hidden.split(length).Zip(labels.split(length)).ToArray();
        var hits = new Tensor?[chunks.Length];
        return Shaped([.. chunks.Select((chunk, i) => Recomputed.Of(chunk.First, states =>
        {
            var logits = model.Logits(states);
            hits[i] ??= LanguageModelLoss.Hits(logits, chunk.Second).MoveToOtherDisposeScope(labels);
            return LanguageModelLoss.Each(logits, chunk.Second, smoothing);
        }))], hits!);

        NextTokens Shaped(Tensor[] losses, Tensor[] hits) => new(cat(losses).reshape(batch.Labels.shape), cat(hits).reshape(batch.Labels.shape));
    }

    /// <summary>Summed over the tokens, each by its weight.</summary>
    public TaskLoss Sum(Tensor? weights)
    {
        var shifted = weights is null ? null : LanguageModelLoss.Shifted(weights);
        return new(shifted is null ? Losses.sum() : (Losses * shifted).sum())
        {
            Metrics = new Dictionary<string, Tensor> { ["mean_token_accuracy"] = shifted is null ? Hits.sum() : (Hits * shifted).sum() },
        };
    }
}
