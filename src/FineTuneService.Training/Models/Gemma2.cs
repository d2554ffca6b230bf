using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>
/// Gemma 2 (Gemma Team 2024, arXiv:2408.00118): norms before and after each half, their weights around one; bounded scores and logits;
/// scaled embeddings; a window in every other layer.
/// </summary>
[ModelType("gemma2")]
public sealed record Gemma2Config : DecoderConfig
{
    public Gemma2Config() => (HeadDim, PadTokenId, TieWordEmbeddings) = (256, 0, true);

    public string HiddenActivation { get; init; } = "gelu_pytorch_tanh";
    public bool AttentionBias { get; init; }
    public double QueryPreAttnScalar { get; init; } = 256;
    public double? AttnLogitSoftcapping { get; init; } = 50;
    public double? FinalLogitSoftcapping { get; init; } = 30;
    public int? SlidingWindow { get; init; } = 4096;
    public IReadOnlyList<string>? LayerTypes { get; init; }

    public override string Family => "Gemma2";

    public override double EmbeddingScale => Math.Sqrt(HiddenSize);

    public override double? LogitSoftcap => FinalLogitSoftcapping;

    internal override bool MasksExplicitly => AttnLogitSoftcapping is not null;

    public override int? Window(int layer) => IsSliding(LayerTypes, layer, otherwise: layer % 2 == 0) ? SlidingWindow : null;

    internal override RmsNorm CreateNorm() => new(HiddenSize, RmsNormEps, aroundOne: true);

    internal override Module<Tensor, AttentionContext, Tensor> CreateLayer(int layer) => new Gemma2DecoderLayer(this, GemmaAttention(layer));

    internal override Value DrawLayer(Sketch sketch, int layer, string name, Value input)
    {
        var attended = sketch.Add(input, Norm("post_attention", DrawAttention(sketch, $"{name}.self_attn", Norm("input", input), GemmaAttention(layer))));
        return sketch.Add(attended, Norm("post_feedforward", DrawMlp(sketch, $"{name}.mlp", Norm("pre_feedforward", attended), HiddenActivation, bias: false)));

        Value Norm(string which, Value given) => sketch.RmsNorm($"{name}.{which}_layernorm", given, HiddenSize);
    }

    private RotaryAttentionOptions GemmaAttention(int layer) => Attention(layer) with
    {
        QkvBias = AttentionBias,
        OutputBias = AttentionBias,
        Scale = 1 / Math.Sqrt(QueryPreAttnScalar),
        Softcap = AttnLogitSoftcapping,
    };
}

internal sealed class Gemma2DecoderLayer : Module<Tensor, AttentionContext, Tensor>
{
    private readonly RotaryAttention self_attn;
    private readonly GatedMlp mlp;
    private readonly RmsNorm input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm;

    public Gemma2DecoderLayer(Gemma2Config config, RotaryAttentionOptions attention) : base(nameof(Gemma2DecoderLayer))
    {
        self_attn = new(attention);
        mlp = new(config.HiddenSize, config.IntermediateSize, config.HiddenActivation);
        (input_layernorm, post_attention_layernorm) = (config.CreateNorm(), config.CreateNorm());
        (pre_feedforward_layernorm, post_feedforward_layernorm) = (config.CreateNorm(), config.CreateNorm());
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        hidden = hidden + post_attention_layernorm.call(self_attn.call(input_layernorm.call(hidden), context));
        return hidden + post_feedforward_layernorm.call(mlp.call(pre_feedforward_layernorm.call(hidden)));
    }
}
