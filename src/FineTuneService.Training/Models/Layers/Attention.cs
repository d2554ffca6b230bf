using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Multi-head attention over projected queries, keys and values (Vaswani et al. 2017, arXiv:1706.03762).</summary>
public static class Attention
{
    /// <param name="query"><c>[batch, seq, hidden]</c>, as are <paramref name="key"/>, <paramref name="value"/> and the result.</param>
    /// <param name="mask">True where a key may be seen, <c>[batch, 1, 1, seq]</c>; null when all may.</param>
    /// <param name="dropout">Probability with which an attention weight is dropped; 0 outside training.</param>
    public static Tensor Bidirectional(Tensor query, Tensor key, Tensor value, long heads, Tensor? mask, double dropout)
    {
        var context = functional.scaled_dot_product_attention(Split(query, heads), Split(key, heads), Split(value, heads), mask, dropout);
        return context.transpose(1, 2).flatten(2); // [batch, heads, seq, head] → [batch, seq, hidden]
    }

    /// <summary>The mask of a padded batch: <c>[batch, seq]</c> of 1 and 0 to <c>[batch, 1, 1, seq]</c> of booleans.</summary>
    public static Tensor? PaddingMask(Tensor? attentionMask) => attentionMask?.to(ScalarType.Bool).unsqueeze(1).unsqueeze(1);

    private static Tensor Split(Tensor hidden, long heads) => hidden.unflatten(2, heads, -1).transpose(1, 2); // [batch, heads, seq, head]
}
