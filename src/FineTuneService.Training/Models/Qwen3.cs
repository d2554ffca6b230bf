using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>Qwen3 (Yang et al. 2025, arXiv:2505.09388): Llama with norms over each head of queries and keys, and a window in some layers.</summary>
[ModelType("qwen3")]
public sealed record Qwen3Config : DecoderConfig
{
    public Qwen3Config() => HeadDim = 128;

    public bool AttentionBias { get; init; }
    public bool UseSlidingWindow { get; init; }
    public int? SlidingWindow { get; init; } = 4096;
    public int MaxWindowLayers { get; init; } = 28;
    public IReadOnlyList<string>? LayerTypes { get; init; }

    public override string Family => "Qwen3";

    public override int? Window(int layer) =>
        UseSlidingWindow && IsSliding(LayerTypes, layer, otherwise: layer >= MaxWindowLayers) ? SlidingWindow : null;

    internal override Module<Tensor, AttentionContext, Tensor> CreateLayer(int layer) =>
        new LlamaDecoderLayer(this, Attention(layer) with { QkvBias = AttentionBias, OutputBias = AttentionBias, HeadNormEpsilon = RmsNormEps });

    internal override Value DrawLayer(Sketch sketch, int layer, string name, Value input) => DrawLlamaLayer(sketch, name, input, Attention(layer) with { QkvBias = AttentionBias, OutputBias = AttentionBias, HeadNormEpsilon = RmsNormEps });
}
