using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>Qwen2 and 2.5 (Yang et al. 2024, arXiv:2407.10671): Llama with biases on queries, keys and values, and a window in some layers.</summary>
[ModelType("qwen2")]
public sealed record Qwen2Config : DecoderConfig
{
    public bool UseSlidingWindow { get; init; }
    public int? SlidingWindow { get; init; } = 4096;
    public int MaxWindowLayers { get; init; } = 28;
    public IReadOnlyList<string>? LayerTypes { get; init; }

    public override string Family => "Qwen2";

    public override int? Window(int layer) =>
        UseSlidingWindow && IsSliding(LayerTypes, layer, otherwise: layer >= MaxWindowLayers) ? SlidingWindow : null;

    internal override Module<Tensor, AttentionContext, Tensor> CreateLayer(int layer) =>
        new LlamaDecoderLayer(this, Attention(layer) with { QkvBias = true });

    internal override Value DrawLayer(Sketch sketch, int layer, string name, Value input) => DrawLlamaLayer(sketch, name, input, Attention(layer) with { QkvBias = true });
}
