using FineTuneService.Training.Checkpoints;

namespace FineTuneService.Training.Models;

/// <summary>A layer that a method could adapt, as far as choosing takes it: from a model, or from the header of its weights, which takes no tensor.</summary>
/// <param name="Shape">Of its matrix, in either order; empty where the file does not tell it, as of weights packed in four bits.</param>
/// <param name="IsOutput">It turns hidden states into words.</param>
public sealed record LayerOutline(string Name, IReadOnlyList<long> Shape, bool IsEmbedding, bool IsOutput)
{
    private const string Weight = ".weight", Packed = "U8";

    private static readonly string[] Tables = ["embeddings", "embed_tokens", "wte", "wpe"];

    private static readonly Dictionary<ModelHead, string[]> Endings = new()
    {
        [ModelHead.SequenceClassification] = ["ForSequenceClassification"],
        [ModelHead.TokenClassification] = ["ForTokenClassification"],
        [ModelHead.CausalLm] = ["ForCausalLM", "LMHeadModel"],
        [ModelHead.MaskedLm] = ["ForMaskedLM"],
        [ModelHead.ReplacedTokenDetection] = ["ForPreTraining"],
    };

    /// <summary>The layers that a model of this file has: those of the base, and those of the head where the task keeps it. A head that is drawn anew is not among them.</summary>
    public static IReadOnlyList<LayerOutline> Of(PretrainedConfig config, IReadOnlyDictionary<string, SafetensorsEntry> tensors, ModelHead head)
    {
        var prefix = config.BaseModelPrefix + ".";
        var isBare = !tensors.Keys.Any(key => key.StartsWith(prefix, StringComparison.Ordinal)); // Then the head is not in it either.
        var keepsHead = Endings[head].Any(ending => config.Architecture?.EndsWith(ending, StringComparison.Ordinal) == true);
        return
        [
            .. from tensor in tensors
               where tensor.Key.EndsWith(Weight, StringComparison.Ordinal) && tensor.Value.Shape.Length == 2
               let name = (isBare ? prefix : "") + tensor.Key[..^Weight.Length]
               let isInBase = name.StartsWith(prefix, StringComparison.Ordinal)
               where isInBase || keepsHead
               select new LayerOutline(
                   name, tensor.Value.Dtype == Packed ? [] : tensor.Value.Shape, Tables.Any(table => name.EndsWith(table, StringComparison.Ordinal)), !isInBase && tensor.Value.Shape[0] == config.VocabSize),
        ];
    }
}
