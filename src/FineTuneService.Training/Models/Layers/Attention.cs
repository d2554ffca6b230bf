using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Multi-head attention over projected queries, keys and values (Vaswani et al. 2017, arXiv:1706.03762).</summary>
public static class Attention
{
    /// <param name="query"><c>[batch, seq, hidden]</c>, as are <paramref name="key"/>, <paramref name="value"/> and the result.</param>
    /// <param name="mask">True where a key may be seen, <c>[batch, 1, 1, seq]</c>; null when all may.</param>
    /// <param name="dropout">Probability with which an attention weight is dropped; 0 outside training.</param>
    public static Tensor Bidirectional(Tensor query, Tensor key, Tensor value, long heads, Tensor? mask, double dropout) =>
        Join(ScaledDotProduct(Split(query, heads), Split(key, heads), Split(value, heads), mask, dropout));

    /// <summary>
    /// softmax(q·kᵀ / √head)·v, <c>[batch, heads, seq, head]</c>. libtorch's fused kernels drop nothing on a CPU, and what it computes there in their place costs more than these steps.
    /// </summary>
    /// <param name="mask">True where a key may be seen, or what is added to the scores; null: neither.</param>
    /// <param name="isCausal">No token sees a later one; without <paramref name="mask"/>.</param>
    public static Tensor ScaledDotProduct(Tensor query, Tensor key, Tensor value, Tensor? mask, double dropout, bool isCausal = false)
    {
        if (dropout == 0 || query.device_type != TorchSharp.DeviceType.CPU)
            return functional.scaled_dot_product_attention(query, key, value, mask, dropout, isCausal);
        using Tensor scaled = query * (1 / Math.Sqrt(query.size(3))), turned = key.transpose(2, 3), scores = matmul(scaled, turned); // [batch, heads, seq, seq]
        using var unseen = isCausal ? ones(query.size(2), key.size(2), ScalarType.Bool).triu_(1) : mask?.dtype == ScalarType.Bool ? mask.logical_not() : null;
        using var masked = unseen is not null ? scores.masked_fill_(unseen, double.NegativeInfinity) : mask is not null ? scores + mask : null;
        using var weights = functional.softmax(masked ?? scores, -1);
        using var dropped = FastDropout.Of(weights, dropout);
        return matmul(dropped, value);
    }

    /// <summary>Attention to what came before, as far as <paramref name="context"/> and <paramref name="window"/> allow.</summary>
    /// <param name="query"><c>[batch, heads, seq, head]</c>.</param>
    /// <param name="key"><c>[batch, key heads, past + seq, head]</c>, as is <paramref name="value"/>: each serves heads / key heads queries (Ainslie et al. 2023, arXiv:2305.13245).</param>
    /// <param name="window">How many tokens a token sees, itself among them; null: all.</param>
    /// <param name="scale">Factor of the scores.</param>
    /// <param name="softcap">Bound that tanh puts on the scores (Gemma 2, arXiv:2408.00118); null: none. No kernel of libtorch knows it.</param>
    /// <returns><c>[batch, seq, heads · head]</c>.</returns>
    public static Tensor Causal(
        Tensor query, Tensor key, Tensor value, AttentionContext context, int? window, double scale, double dropout, double? softcap = null)
    {
        var (heads, groups, length) = (query.size(1), query.size(1) / key.size(1), query.size(2));
        if (groups > 1 && length == 1)
            query = query.unflatten(1, key.size(1), groups).squeeze(3); // One token: its heads stand as rows before their common key, and nothing is copied.
        else if (groups > 1)
            (key, value) = (Repeat(key, groups), Repeat(value, groups));
        Tensor attended;
        if (softcap is { } bound)
        {
            var scores = tanh(matmul(query, key.transpose(2, 3)) * (scale / bound)) * bound; // [batch, heads, seq, past + seq]
            var weights = functional.softmax(scores.masked_fill(context.ExplicitMask(window).logical_not(), double.NegativeInfinity), -1, ScalarType.Float32);
            attended = matmul(FastDropout.Of(weights.to(query.dtype), dropout, dropout > 0), value);
        }
        else
        {
            var natural = Math.Sqrt(query.size(3)); // The kernel divides by this.
            var scaled = Math.Abs(scale * natural - 1) < 1e-12 ? query : query * (scale * natural);
            attended = ScaledDotProduct(scaled, key, value, context.Mask(window), dropout, context.IsCausal(window));
        }
        return length == 1 ? attended.reshape(attended.size(0), 1, -1) : Join(attended);
    }

    /// <summary>The mask of a padded batch: <c>[batch, seq]</c> of 1 and 0 to <c>[batch, 1, 1, seq]</c> of booleans.</summary>
    public static Tensor? PaddingMask(Tensor? attentionMask) => attentionMask?.to(ScalarType.Bool).unsqueeze(1).unsqueeze(1);

    /// <summary><c>[batch, seq, heads · head] → [batch, heads, seq, head]</c>.</summary>
    public static Tensor Split(Tensor hidden, long heads) => hidden.unflatten(2, heads, -1).transpose(1, 2);

    private static Tensor Join(Tensor attended) => attended.transpose(1, 2).flatten(2); // [batch, heads, seq, head] → [batch, seq, heads · head]

    private static Tensor Repeat(Tensor heads, long times) =>
        heads.unsqueeze(2).expand(-1, -1, times, -1, -1).flatten(1, 2); // [batch, key heads, seq, head] → [batch, heads, seq, head]
}
