using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>Phi-3 (Abdin et al. 2024, arXiv:2404.14219): Llama with fused projections, dropout on the residuals, and two sets of frequencies for short and long texts.</summary>
[ModelType("phi3")]
public sealed record Phi3Config : DecoderConfig
{
    public Phi3Config() => (RmsNormEps, PadTokenId) = (1e-5, 32000);

    public double ResidPdrop { get; init; }
    public int? SlidingWindow { get; init; }
    public int OriginalMaxPositionEmbeddings { get; init; } = 4096;

    public override string Family => "Phi3";

    /// <summary>The length of pre-training stands outside; "su" and "yarn" are old names of longrope here.</summary>
    public override RopeParameters Rope => base.Rope with
    {
        RopeType = base.Rope.Kind is "su" or "yarn" ? "longrope" : base.Rope.Kind,
        OriginalMaxPositionEmbeddings = OriginalMaxPositionEmbeddings,
    };

    public override int? Window(int layer) => SlidingWindow;

    internal override Module<Tensor, AttentionContext, Tensor> CreateLayer(int layer) => new Phi3DecoderLayer(this, layer);

    internal override Value DrawLayer(Sketch sketch, int layer, string name, Value input)
    {
        var (queries, keys) = (NumAttentionHeads, KeyValueHeads);
        var fused = sketch.Linear($"{name}.self_attn.qkv_proj", sketch.RmsNorm($"{name}.input_layernorm", input, HiddenSize), HiddenSize, (queries + 2 * keys) * HeadSize, bias: false);
        var (query, key, value) = (sketch.Rotate(Part(queries)), sketch.Rotate(Part(keys)), Part(keys));
        var context = sketch.Linear($"{name}.self_attn.o_proj", DrawCausal(sketch, query, key, value, Attention(layer)), queries * HeadSize, HiddenSize, bias: false);
        var attended = sketch.Add(input, sketch.Dropout(context, ResidPdrop));
        var halves = sketch.Linear($"{name}.mlp.gate_up_proj", sketch.RmsNorm($"{name}.post_attention_layernorm", attended, HiddenSize), HiddenSize, 2 * IntermediateSize, bias: false);
        var (gate, up) = (sketch.Part(halves, halves.Count / 2), sketch.Part(halves, halves.Count / 2));
        var gated = sketch.Multiply(sketch.Activation(HiddenAct, gate), up);
        return sketch.Add(attended, sketch.Dropout(sketch.Linear($"{name}.mlp.down_proj", gated, IntermediateSize, HiddenSize, bias: false), ResidPdrop));

        Value Part(int heads) => sketch.Part(fused, sketch.Shape.Tokens * heads * HeadSize);
    }
}

internal sealed class Phi3Attention : Module<Tensor, AttentionContext, Tensor>
{
    private readonly Linear qkv_proj, o_proj;
    private readonly Phi3Config _config;
    private readonly int _layer;

    public Phi3Attention(Phi3Config config, int layer) : base(nameof(Phi3Attention))
    {
        qkv_proj = new(config.HiddenSize, (config.NumAttentionHeads + 2 * config.KeyValueHeads) * config.HeadSize, bias: false);
        o_proj = new(config.NumAttentionHeads * config.HeadSize, config.HiddenSize, bias: false);
        (_config, _layer) = (config, layer);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        var (queries, keys) = (_config.NumAttentionHeads, _config.KeyValueHeads);
        var heads = Attention.Split(qkv_proj.call(hidden), queries + 2 * keys); // [batch, heads, seq, head]
        var query = context.Rotation.Apply(heads.narrow(1, 0, queries));
        var key = context.Rotation.Apply(heads.narrow(1, queries, keys));
        var value = heads.narrow(1, queries + keys, keys);
        if (context.Cache is { } cache)
            (key, value) = cache.Append(_layer, key, value);
        var scale = 1 / Math.Sqrt(_config.HeadSize);
        return o_proj.call(Attention.Causal(query, key, value, context, _config.SlidingWindow, scale, training ? _config.AttentionDropout : 0));
    }
}

internal sealed class Phi3Mlp : Module<Tensor, Tensor>
{
    private readonly Linear gate_up_proj, down_proj;
    private readonly Func<Tensor, Tensor> _activation;

    public Phi3Mlp(Phi3Config config) : base(nameof(Phi3Mlp))
    {
        gate_up_proj = new(config.HiddenSize, 2 * config.IntermediateSize, bias: false);
        down_proj = new(config.IntermediateSize, config.HiddenSize, bias: false);
        _activation = Activations.Named(config.HiddenAct);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden)
    {
        var halves = gate_up_proj.call(hidden).chunk(2, -1); // gate, up
        return down_proj.call(_activation(halves[0]) * halves[1]);
    }
}

internal sealed class Phi3DecoderLayer : Module<Tensor, AttentionContext, Tensor>
{
    private readonly Phi3Attention self_attn;
    private readonly Phi3Mlp mlp;
    private readonly RmsNorm input_layernorm, post_attention_layernorm;
    private readonly double _dropout;

    public Phi3DecoderLayer(Phi3Config config, int layer) : base(nameof(Phi3DecoderLayer))
    {
        (self_attn, mlp) = (new(config, layer), new(config));
        (input_layernorm, post_attention_layernorm) = (config.CreateNorm(), config.CreateNorm());
        _dropout = config.ResidPdrop;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        hidden = hidden + FastDropout.Of(self_attn.call(input_layernorm.call(hidden), context), _dropout, training);
        return hidden + FastDropout.Of(mlp.call(post_attention_layernorm.call(hidden)), _dropout, training);
    }
}
