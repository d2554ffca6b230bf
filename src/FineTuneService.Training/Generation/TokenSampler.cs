using static TorchSharp.torch;

namespace FineTuneService.Training.Generation;

/// <summary>Chooses a text's next token. Order and meaning of the steps are those of transformers' logits processors.</summary>
/// <param name="generator">On the CPU: the same seed draws the same text on every device.</param>
internal sealed class TokenSampler(GenerationSettings settings, Generator generator)
{
    /// <param name="logits"><c>[vocabulary]</c>, float32.</param>
    /// <param name="seen">The ids of the text so far, the prompt's among them.</param>
    public int Next(Tensor logits, IReadOnlyCollection<int> seen)
    {
        using var scope = NewDisposeScope();
        return (int)(settings.DoSample ? multinomial(Probabilities(logits, seen).cpu(), 1, false, generator) : Penalize(logits, seen).argmax()).ToInt64();
    }

    /// <summary>What is drawn from, <c>[vocabulary]</c>.</summary>
    public Tensor Probabilities(Tensor logits, IReadOnlyCollection<int> seen) =>
        nn.functional.softmax(Filter(Penalize(logits, seen) / settings.Temperature), -1);

    public Tensor Penalize(Tensor logits, IReadOnlyCollection<int> seen)
    {
        if (settings.RepetitionPenalty == 1)
            return logits;
        var ids = tensor(seen.Distinct().Select(id => (long)id).ToArray(), device: logits.device);
        var scores = logits.index_select(0, ids);
        return logits.scatter(0, ids, where(scores < 0, scores * settings.RepetitionPenalty, scores / settings.RepetitionPenalty));
    }

    /// <summary>−∞ for the tokens that are not drawn.</summary>
    private Tensor Filter(Tensor scores)
    {
        var count = scores.size(0);
        if (settings.TopK > 0 && settings.TopK < count)
            scores = Keep(scores, scores.ge(scores.topk(settings.TopK).values[^1]));
        if (settings.TopP < 1)
        {
            // From the least probable on, tokens go while those that stay reach top_p; the most probable always stays.
            var (sorted, order) = scores.sort(-1);
            var gone = nn.functional.softmax(sorted, -1).cumsum(-1).le(1 - settings.TopP);
            gone[^1] = false;
            scores = Keep(scores, zeros_like(gone).scatter(0, order, gone.logical_not()));
        }
        if (settings.MinP > 0)
        {
            var probabilities = nn.functional.softmax(scores, -1);
            scores = Keep(scores, probabilities.ge(probabilities.max() * settings.MinP));
        }
        return scores;
    }

    private static Tensor Keep(Tensor scores, Tensor kept) => scores.masked_fill(kept.logical_not(), double.NegativeInfinity);
}
