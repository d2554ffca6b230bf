using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>What a <see cref="RotaryAttention"/> is made of.</summary>
internal sealed record RotaryAttentionOptions
{
    /// <summary>The layer's number, from 0: its place in the cache.</summary>
    public required int Layer { get; init; }
    public required long Hidden { get; init; }
    public required long Heads { get; init; }
    public required long KeyValueHeads { get; init; }
    public required long HeadDim { get; init; }
    public bool QkvBias { get; init; }
    public bool OutputBias { get; init; }

    /// <summary>Norms over each head of queries and keys; null: none.</summary>
    public double? HeadNormEpsilon { get; init; }

    /// <summary>Factor of the scores; null: 1 / √head.</summary>
    public double? Scale { get; init; }
    public double? Softcap { get; init; }
    public int? Window { get; init; }
    public double Dropout { get; init; }
}

/// <summary>Causal attention with rotary positions and shared key heads, <c>[batch, seq, hidden] → [batch, seq, hidden]</c>.</summary>
internal sealed class RotaryAttention : Module<Tensor, AttentionContext, Tensor>
{
    private readonly Linear q_proj, k_proj, v_proj, o_proj;
    private readonly RmsNorm? q_norm, k_norm;
    private readonly RotaryAttentionOptions _options;

    public RotaryAttention(RotaryAttentionOptions options) : base(nameof(RotaryAttention))
    {
        _options = options;
        q_proj = new(options.Hidden, options.Heads * options.HeadDim, options.QkvBias);
        k_proj = new(options.Hidden, options.KeyValueHeads * options.HeadDim, options.QkvBias);
        v_proj = new(options.Hidden, options.KeyValueHeads * options.HeadDim, options.QkvBias);
        o_proj = new(options.Heads * options.HeadDim, options.Hidden, options.OutputBias);
        if (options.HeadNormEpsilon is { } epsilon)
            (q_norm, k_norm) = (new(options.HeadDim, epsilon), new(options.HeadDim, epsilon));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        var query = context.Rotation.Apply(Split(q_proj.call(hidden), _options.Heads, q_norm));
        var key = context.Rotation.Apply(Split(k_proj.call(hidden), _options.KeyValueHeads, k_norm));
        var value = Split(v_proj.call(hidden), _options.KeyValueHeads, null);
        if (context.Cache is { } cache)
            (key, value) = cache.Append(_options.Layer, key, value);
        var scale = _options.Scale ?? 1 / Math.Sqrt(_options.HeadDim);
        return o_proj.call(Attention.Causal(query, key, value, context, _options.Window, scale, training ? _options.Dropout : 0, _options.Softcap));
    }

    private static Tensor Split(Tensor projected, long heads, RmsNorm? norm)
    {
        var split = projected.unflatten(2, heads, -1); // [batch, seq, heads, head]
        return (norm?.call(split) ?? split).transpose(1, 2);
    }
}
