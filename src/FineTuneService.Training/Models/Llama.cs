using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>Llama, 1 to 3 (Touvron et al. 2023, arXiv:2302.13971): norms before each half, gated feed-forward, rotary positions.</summary>
[ModelType("llama")]
public sealed record LlamaConfig : DecoderConfig
{
    public bool AttentionBias { get; init; }
    public bool MlpBias { get; init; }

    public override string Family => "Llama";

    internal override Module<Tensor, AttentionContext, Tensor> CreateLayer(int layer) =>
        new LlamaDecoderLayer(this, Attention(layer) with { QkvBias = AttentionBias, OutputBias = AttentionBias }, MlpBias);

    internal override Value DrawLayer(Sketch sketch, int layer, string name, Value input) => DrawLlamaLayer(sketch, name, input, Attention(layer) with { QkvBias = AttentionBias, OutputBias = AttentionBias }, MlpBias);
}

internal sealed class LlamaDecoderLayer : Module<Tensor, AttentionContext, Tensor>
{
    private readonly RotaryAttention self_attn;
    private readonly GatedMlp mlp;
    private readonly RmsNorm input_layernorm, post_attention_layernorm;

    public LlamaDecoderLayer(DecoderConfig config, RotaryAttentionOptions attention, bool mlpBias = false) : base(nameof(LlamaDecoderLayer))
    {
        self_attn = new(attention);
        mlp = new(config.HiddenSize, config.IntermediateSize, config.HiddenAct, mlpBias);
        (input_layernorm, post_attention_layernorm) = (config.CreateNorm(), config.CreateNorm());
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        hidden = hidden + self_attn.call(input_layernorm.call(hidden), context);
        return hidden + mlp.call(post_attention_layernorm.call(hidden));
    }
}
