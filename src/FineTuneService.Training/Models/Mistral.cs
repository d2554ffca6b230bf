using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>Mistral 7B (Jiang et al. 2023, arXiv:2310.06825): Llama whose tokens see a window, in every layer.</summary>
[ModelType("mistral")]
public sealed record MistralConfig : DecoderConfig
{
    public int? SlidingWindow { get; init; } = 4096;

    public override string Family => "Mistral";

    public override int? Window(int layer) => SlidingWindow;

    internal override Module<Tensor, AttentionContext, Tensor> CreateLayer(int layer) => new LlamaDecoderLayer(this, Attention(layer));

    internal override Value DrawLayer(Sketch sketch, int layer, string name, Value input) => DrawLlamaLayer(sketch, name, input, Attention(layer));
}
