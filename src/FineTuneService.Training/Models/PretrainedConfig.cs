using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Models;

/// <summary>A family's config.json; the family's record adds its own fields and builds its models.</summary>
public abstract record PretrainedConfig
{
    private static readonly JsonSerializerOptions Json = new(SnakeCaseJson.Options) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    public required string ModelType { get; init; }
    public required int VocabSize { get; init; }
    public int? PadTokenId { get; init; }
    public double InitializerRange { get; init; } = 0.02;

    [JsonPropertyName("id2label")]
    public IReadOnlyDictionary<string, string>? LabelsById { get; init; }
    public ProblemType? ProblemType { get; init; }

    /// <summary>Whether a whole text is judged by its last token: then <see cref="PadTokenId"/> must be known, and be what rows are padded with.</summary>
    [JsonIgnore]
    public virtual bool JudgesLastToken => false;

    /// <summary>Positions that a text may fill, special tokens included.</summary>
    [JsonIgnore]
    public abstract int MaxLength { get; }

    /// <summary>What a <see cref="Layers.KeyValueCache"/> holds stays true for a longer text only as long as this number does not change.</summary>
    public virtual long CacheRegime(long length) => 0;

    /// <summary>config.json as it was read, so that what we do not know survives a round trip.</summary>
    [JsonIgnore]
    public JsonObject Source { get; private init; } = [];

    /// <summary>The first of config.json's <c>architectures</c>: the class whose weights the folder holds.</summary>
    [JsonIgnore]
    public string? Architecture => (Source["architectures"] as JsonArray)?.FirstOrDefault()?.GetValue<string>();

    /// <summary>Type of the weights on the disk: config.json's <c>dtype</c>, formerly <c>torch_dtype</c>; float32 where it names none. transformers 5 loads in this type and saves in it; here training is in float32.</summary>
    [JsonIgnore]
    public TorchSharp.torch.ScalarType StoredType => ((Source["dtype"] ?? Source["torch_dtype"]) as JsonValue)?.ToString() switch
    {
        "bfloat16" => TorchSharp.torch.ScalarType.BFloat16,
        "float16" => TorchSharp.torch.ScalarType.Float16,
        _ => TorchSharp.torch.ScalarType.Float32,
    };

    /// <summary>What the class that config.json names gives; null where there is none, or it is the bare model.</summary>
    [JsonIgnore]
    public ModelHead? Head => Architecture switch
    {
        null => null,
        "ElectraForPreTraining" => ModelHead.ReplacedTokenDetection,
        var name when name.EndsWith("LMHeadModel", StringComparison.Ordinal) => ModelHead.CausalLm,
        var name => Heads.Keys.Where(head => name.EndsWith("For" + head, StringComparison.OrdinalIgnoreCase)).Select(head => (ModelHead?)head).FirstOrDefault(),
    };

    /// <summary>Class names in the order of the logits; transformers' default of two where none are given.</summary>
    [JsonIgnore]
    public IReadOnlyList<string> Labels => LabelsById is null
        ? ["LABEL_0", "LABEL_1"]
        : [.. Enumerable.Range(0, LabelsById.Count).Select(id => LabelsById[id.ToString(System.Globalization.CultureInfo.InvariantCulture)])];

    /// <summary>transformers' <c>base_model_prefix</c>: <see cref="PretrainedModel.BaseModelPrefix"/>, known without a model.</summary>
    [JsonIgnore]
    public virtual string BaseModelPrefix => ModelType;

    /// <summary>The heads that the family has here, each with the way to make such a model.</summary>
    [JsonIgnore]
    public abstract IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads { get; }

    /// <summary>A forward pass of the model with this head, and its loss, without numbers: the layers in the order in which it calls them, for what they need of memory.</summary>
    internal abstract Value Draw(Sketch sketch, ModelHead head);

    /// <exception cref="FaultException">When the family has no such head.</exception>
    public PretrainedModel Create(ModelHead head) => Heads.TryGetValue(head, out var create) ? create() : throw new FaultException([NoHead(ModelType, head, Heads.Keys)]);

    /// <summary>What to tell a user whose task needs a head that the family lacks.</summary>
    public static Fault NoHead(string family, ModelHead head, IEnumerable<ModelHead> known) => new(
        "/base_model", family, $"This family has no head for {Spell(head)} here.", $"Choose a base model of another family, or another task. It has: {string.Join(", ", known.Select(Spell))}.");

    /// <exception cref="FaultException">When the file is missing, not JSON, of an unknown family or lacks a field.</exception>
    public static PretrainedConfig Read(string folder)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path))
            throw new FaultException(path, null, "There is no config.json in this folder.", "Give the folder of a Hugging Face model: config.json, model.safetensors and tokenizer files.");
        try
        {
            var source = JsonNode.Parse(File.ReadAllText(path), documentOptions: new() { AllowDuplicateProperties = false }) as JsonObject ?? throw new JsonException("Not a JSON object.");
            var modelType = source["model_type"]?.GetValue<string>();
            if (modelType is null || !Catalog.Models.TryGetValue(modelType, out var type))
                throw new FaultException($"{path}#/model_type", modelType, "This model family is not known here.", $"Known: {string.Join(", ", Catalog.Models.Keys.Order())}.");
            var config = (PretrainedConfig)source.Deserialize(type, Json)! with { Source = source };
            CheckSizes(config, path);
            CheckLabels(config, path);
            _ = (config.Architecture, config.StoredType); // They read the source, which may hold anything there.
            return config;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new FaultException(path, null, $"config.json cannot be read: {error.Message}", "Fetch the file again from its origin.");
        }
    }

    /// <summary>config.json as transformers' <c>save_pretrained</c> would write it for this model.</summary>
    public JsonObject ToJson(string architecture)
    {
        var json = (JsonObject)Source.DeepClone();
        json["architectures"] = new JsonArray(architecture);
        json["dtype"] = StoredType.ToString().ToLowerInvariant();
        json.Remove("torch_dtype");
        if (PadTokenId is { } padding)
            json["pad_token_id"] = padding;
        if (LabelsById is not null)
        {
            json["id2label"] = new JsonObject(Labels.Select((label, id) => KeyValuePair.Create(id.ToString(System.Globalization.CultureInfo.InvariantCulture), (JsonNode?)label)));
            json["label2id"] = new JsonObject(Labels.Select((label, id) => KeyValuePair.Create(label, (JsonNode?)id)));
        }
        if (ProblemType is { } problemType)
            json["problem_type"] = JsonSerializer.SerializeToNode(problemType, Json);
        return json;
    }

    /// <summary>Sizes that no model has would take those who forecast or build it any time and memory.</summary>
    private static void CheckSizes(PretrainedConfig config, string path)
    {
        const int Most = 1 << 27, MostLayers = 1 << 10;
        var faults = new FaultList();
        foreach (var size in config.GetType().GetProperties().Where(size => size.IsDefined(typeof(RequiredMemberAttribute), false) || size.IsDefined(typeof(SizeAttribute), false)))
            if (size.GetValue(config) is int value && (value < 1 || value > (size.Name.EndsWith("Layers", StringComparison.Ordinal) || size.Name.EndsWith("Layer", StringComparison.Ordinal) ? MostLayers : Most)))
                faults.Add($"{path}#/{Json.PropertyNamingPolicy!.ConvertName(size.Name)}", value, "No model has such a size.", "Fetch the file again from its origin.");
        faults.ThrowIfAny();
    }

    private static void CheckLabels(PretrainedConfig config, string path)
    {
        if (config.LabelsById is { } labels && Enumerable.Range(0, labels.Count).Any(id => labels.GetValueOrDefault(id.ToString(System.Globalization.CultureInfo.InvariantCulture)) is null))
            throw new FaultException($"{path}#/id2label", null, "These are no labels, numbered from 0 on.", "Give each class its name: {\"0\": \"negative\", \"1\": \"positive\"}.");
    }

    private static string Spell(ModelHead head) => JsonNamingPolicy.SnakeCaseLower.ConvertName(head.ToString());
}

/// <summary>An optional count from 1 on; those that are required are such counts anyway.</summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class SizeAttribute : Attribute;
