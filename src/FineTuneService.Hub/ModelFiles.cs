using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;

namespace FineTuneService.Hub;

/// <summary>Which of a repository's files a model is made of; all others stay where they are, and pickles always: reading one runs its code.</summary>
public static partial class ModelFiles
{
    public const string SingleWeights = "model.safetensors", WeightsIndex = "model.safetensors.index.json";
    public const string AdapterConfig = "adapter_config.json", AdapterWeights = "adapter_model.safetensors";

    private const int LongestName = 255; // Bytes, of all file systems that matter.

    private static readonly HashSet<string> Descriptions =
    [
        "config.json", "generation_config.json", AdapterConfig,
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt",
        "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja", "chat_template.json",
    ];

    /// <summary>Config, tokenizer and templates: small, and enough to judge a job.</summary>
    public static bool IsDescription(string path) => Descriptions.Contains(path) || path == WeightsIndex || AdditionalTemplate().IsMatch(path);

    public static bool IsPickle(string path) => Path.GetExtension(path) is ".bin" or ".pt" or ".pth" or ".ckpt" or ".pkl" or ".h5" or ".msgpack" or ".onnx" or ".gguf";

    /// <summary>Whether a name stays inside the folder that it is relative to, and a file can have it.</summary>
    public static bool IsInside(string path) =>
        path.Length is > 0 and < 1024 && !path.Contains('\\') && !path.Any(char.IsControl) && path.Split('/').All(part => part is not ("" or "." or "..") && Encoding.UTF8.GetByteCount(part) <= LongestName);

    /// <summary>The files of the weights among <paramref name="paths"/>: one file, or the shards that the index names; and an adapter's.</summary>
    /// <param name="index">The text of <see cref="WeightsIndex"/>, asked for only when it counts.</param>
    /// <exception cref="FaultException">When there are only pickles, or none at all, or the index names what is not there.</exception>
    public static IReadOnlyList<string> Weights(IReadOnlyCollection<string> paths, Func<string> index)
    {
        var adapter = paths.Contains(AdapterConfig) && paths.Contains(AdapterWeights) ? [AdapterWeights] : Array.Empty<string>();
        if (paths.Contains(SingleWeights))
            return [SingleWeights, .. adapter];
        if (paths.Contains(WeightsIndex))
            return [.. Shards(index(), paths), .. adapter];
        if (adapter.Length > 0)
            return adapter;
        throw paths.FirstOrDefault(path => IsPickle(path)) is { } pickle
            ? new FaultException(
                "/base_model", pickle, "This model's weights are there in pickled or foreign formats only, never as safetensors; opening a pickle would run what it contains.",
                "Choose a revision that has model.safetensors (on the hub often one under refs/pr), or convert it with transformers' save_pretrained and send it to POST /base-models.")
            : new FaultException("/base_model", null, "There are no weights: neither model.safetensors nor its index.", "Choose a repository or an archive with model.safetensors in its top folder.");
    }

    /// <exception cref="FaultException">When it is not one of transformers' indexes.</exception>
    internal static IReadOnlyList<string> ShardsOf(string index)
    {
        try
        {
            using var json = JsonDocument.Parse(index);
            return [.. json.RootElement.GetProperty("weight_map").EnumerateObject().Select(entry => entry.Value.GetString()!).Distinct().Order(StringComparer.Ordinal)];
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new FaultException("/base_model", WeightsIndex, $"The index of the weights cannot be read: {error.Message}", "Choose another revision, or write it anew with save_pretrained.");
        }
    }

    private static IReadOnlyList<string> Shards(string index, IReadOnlyCollection<string> paths)
    {
        var shards = ShardsOf(index);
        return shards.FirstOrDefault(shard => !paths.Contains(shard) || !IsShard(shard)) is { } missing
            ? throw new FaultException("/base_model", missing, "The index of the weights names a file that is not there.", "Choose another revision, or write the model anew with save_pretrained.")
            : shards;
    }

    private static bool IsShard(string path) => path.EndsWith(".safetensors", StringComparison.Ordinal) && !path.Contains('/');

    [GeneratedRegex(@"\Aadditional_chat_templates/[A-Za-z0-9_.-]+\.jinja\z")]
    private static partial Regex AdditionalTemplate();
}
