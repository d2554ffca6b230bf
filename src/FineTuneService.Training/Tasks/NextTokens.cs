using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>
/// What a causal model makes of the labels, token by token. The logits, <c>[tokens, vocabulary]</c>, would be the largest tensor of a step by far:
/// they are made for some tokens at a time, and their gradient with them, see <see cref="FusedCrossEntropy"/>; where that cannot be, large ones are made once more for their gradient.
/// </summary>
/// <param name="Losses">−log p of each token's label, <c>[batch, seq]</c>, fp32; 0 where it is not learnt. Labels stand where their tokens stand; the loss stands one before.</param>
/// <param name="Hits">1 where the label has the highest logit, <c>[batch, seq]</c>, without gradient.</param>
/// <param name="Divergences">See <see cref="KlToBase.Divergence"/>, as the losses; null where the base is not asked.</param>
public readonly record struct NextTokens(Tensor Losses, Tensor Hits, Tensor? Divergences = null)
{
    /// <summary>Logits at a time: 64 MB of fp32.</summary>
    internal const long Elements = 1 << 24;

    /// <param name="elements">Logits at a time.</param>
    /// <param name="smoothing">See <see cref="LanguageModelLoss.Each"/>.</param>
    /// <param name="factor">By what <see cref="Sum"/> will be multiplied before its gradient is taken; null: that is not known, or another gradient will be.</param>
    public static NextTokens Of(CausalLanguageModel model, Batch batch, long elements = Elements, double smoothing = 0, KlToBase? anchor = null, double? factor = null)
    {
        var labels = Learnt(LanguageModelLoss.Shifted(batch.Labels)); // [tokens]
        var ofBase = anchor?.Ask(model, asked => Learnt(((CausalLanguageModel)asked).Hidden(batch.Inputs))); // [tokens, hidden]
        var hidden = Learnt(model.Hidden(batch.Inputs)); // [tokens, hidden]
        var length = Math.Max(1, elements / model.Config.VocabSize);
        var isFused = is_grad_enabled() && (factor is not null || (anchor is null && hidden.requires_grad && IsHeadFrozen(model, hidden)));
        if (!isFused && hidden.size(0) <= length)
        {
            var logits = model.Logits(hidden);
            return Shaped([Costs(logits, labels, ofBase)], [LanguageModelLoss.Hits(logits, labels)]);
        }
        var (chunks, wanted, chunksOfBase, factors) = (hidden.split(length), labels.split(length), ofBase?.split(length), Factors()?.split(length, -1));
        var hits = new Tensor?[chunks.Length];
        return Shaped([.. chunks.Select((chunk, i) => isFused ? FusedCrossEntropy.Of(chunk, states => Piece(states, i), factors?[i]) : Recomputed.Of(chunk, states => Piece(states, i)))], hits!);

        Tensor Piece(Tensor states, int i)
        {
            var logits = model.Logits(states);
            hits[i] ??= LanguageModelLoss.Hits(logits, wanted[i]).MoveToOtherDisposeScope(labels);
            return Costs(logits, wanted[i], chunksOfBase?[i]);
        }

        // What arrives at each of the costs.
        Tensor? Factors()
        {
            if (!isFused || factor is null)
                return null;
            var each = batch.Weights is { } weights ? Learnt(LanguageModelLoss.Shifted(weights)) * factor.Value : full([labels.numel()], factor.Value, ScalarType.Float32, labels.device);
            return anchor is null ? each : stack([each, each * anchor.Weight]);
        }

        // [tokens]; with a base, [2, tokens]: the losses and the divergences.
        Tensor Costs(Tensor logits, Tensor labels, Tensor? statesOfBase)
        {
            var losses = LanguageModelLoss.Each(logits, labels, smoothing, mayOverwrite: statesOfBase is null);
            if (statesOfBase is null)
                return losses;
            using var expected = anchor!.Ask(model, asked => ((CausalLanguageModel)asked).Logits(statesOfBase));
            return stack([losses, KlToBase.Divergence(expected, logits, labels)]);
        }

        NextTokens Shaped(Tensor[] costs, Tensor[] hits)
        {
            var (all, there) = (Placed(cat(costs, -1)), Placed(cat(hits)));
            return anchor is null ? new(all, there) : new(all[0], there, all[1]);
        }

        // [batch, seq, …] → [tokens, …]
        Tensor Learnt(Tensor values) => batch.LearntPlaces is { } places ? values.flatten(0, 1).index_select(0, places) : values.flatten(0, 1);

        // […, tokens] → […, batch, seq]
        Tensor Placed(Tensor values)
        {
            var outer = values.shape[..^1];
            if (batch.LearntPlaces is { } places)
                values = zeros([.. outer, batch.Labels.numel()], values.dtype, values.device).index_copy(-1, places, values);
            return values.reshape([.. outer, .. batch.Labels.shape]);
        }
    }

    /// <summary>Whether no weight of the head is trained, be it an adapter's or a tied table's.</summary>
    private static bool IsHeadFrozen(CausalLanguageModel model, Tensor hidden)
    {
        using var scope = NewDisposeScope();
        return !model.Logits(hidden.detach()[..0]).requires_grad;
    }

    /// <summary>Summed over the tokens, each by its weight.</summary>
    public TaskLoss Sum(Tensor? weights, KlToBase? anchor = null)
    {
        var shifted = weights is null ? null : LanguageModelLoss.Shifted(weights);
        var loss = new TaskLoss(Total(Losses)) { Metrics = new Dictionary<string, Tensor> { ["mean_token_accuracy"] = Total(Hits) } };
        return anchor is null ? loss : anchor.AddTo(loss, Total(Divergences!));

        Tensor Total(Tensor values) => shifted is null ? values.sum() : (values * shifted).sum();
    }
}
