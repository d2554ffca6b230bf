using System.Text.Json.Serialization;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Methods;

/// <summary>
/// LoRA over a base whose linear layers are held in four bits (Dettmers et al. 2023, arXiv:2305.14314). The adapter is an ordinary one and goes with the unquantised base.
/// Names of transformers' <c>BitsAndBytesConfig</c>; embeddings and heads stay as they are.
/// </summary>
[SpecType("qlora")]
public sealed record QloraConfig : LoraConfig
{
    [JsonPropertyName("bnb_4bit_quant_type")]
    public QuantType QuantType { get; init; }

    /// <summary>Quantise the blocks' magnitudes as well: 4.13 bits a weight in place of 4.5. transformers: false; the paper: true.</summary>
    [JsonPropertyName("bnb_4bit_use_double_quant")]
    public bool UseDoubleQuant { get; init; } = true;

    /// <summary>Type in which the unpacked weights are multiplied. Default: what the model computes in, see <c>mixed_precision</c>. transformers: float32.</summary>
    [JsonPropertyName("bnb_4bit_compute_dtype")]
    public ComputeType? ComputeDtype { get; init; }

    /// <summary>Further modules that stay as they are, by name or ending.</summary>
    [JsonPropertyName("llm_int8_skip_modules")]
    public IReadOnlyList<string>? SkipModules { get; init; }

    protected override PretrainedFolder.Loaded LoadBase(string folder, PretrainedModel model, long seed)
    {
        ScalarType? type = ComputeDtype switch { ComputeType.Bfloat16 => ScalarType.BFloat16, ComputeType.Float32 => ScalarType.Float32, _ => null };
        var layers = (
            from module in model.named_modules()
            where module.name.StartsWith(model.BaseModelPrefix + ".", StringComparison.Ordinal) && !(ModulesToSave ?? []).Concat(SkipModules ?? []).Any(skipped => $".{module.name}.".Contains($".{skipped}.", StringComparison.Ordinal))
            let layer = module.module as AdaptableLayer
            where layer is { CanQuantize: true }
            select (module.name, layer)).ToDictionary(entry => entry.name + ".weight", entry => entry.layer);
        return PretrainedFolder.LoadWeights(folder, model, seed, (key, reader, stored) =>
        {
            if (!layers.TryGetValue(key, out var layer))
                return false;
            layer.Quantize(Nf4File.ShapeOf(reader, stored) is null ? Nf4Matrix.Quantize(layer.AsOutByIn(reader.Read(stored)), UseDoubleQuant) : Nf4File.Read(reader, stored), type);
            return true;
        });
    }
}

/// <summary>Which 16 values four bits stand for.</summary>
public enum QuantType
{
    Nf4,
}

/// <summary>A number type to compute in.</summary>
public enum ComputeType
{
    Float32,
    Bfloat16,
}
