using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Checkpoints;

/// <summary>PEFT's layout of an adapter: adapter_config.json, described here, and adapter_model.safetensors beside it.</summary>
/// <param name="BaseName"><c>base_model_name_or_path</c>.</param>
/// <param name="Head">Null where <c>task_type</c> says nothing.</param>
public sealed record AdapterFolder(LoraConfig Config, string BaseName, ModelHead? Head)
{
    public const string ConfigFile = "adapter_config.json", WeightsFile = "adapter_model.safetensors", Prefix = "base_model.model.";

    private static readonly JsonSerializerOptions Json = new(SnakeCaseJson.Options) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    private static readonly Dictionary<ModelHead, string> TaskTypes = new()
    {
        [ModelHead.SequenceClassification] = "SEQ_CLS",
        [ModelHead.TokenClassification] = "TOKEN_CLS",
        [ModelHead.CausalLm] = "CAUSAL_LM",
    };

    /// <summary>Options of PEFT that change what a model computes and that do not exist here.</summary>
    private static readonly string[] Unsupported =
    [
        "alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "lora_bias", "monteclora_config", "target_parameters", "trainable_token_indices",
        "use_bdlora", "use_qalora", "velora_config",
    ];

    /// <summary>Ways to begin that leave the base as it is; the others (PiSSA, OLoRA …) need their own changed base.</summary>
    private static readonly string[] HarmlessStarts = ["gaussian", "eva", "orthogonal", "mica"];

    /// <summary>PEFT's <c>fan_in_fan_out</c>: the adapted layers store their weights as <c>[in, out]</c>.</summary>
    public bool FanInFanOut { get; init; }

    public static bool Is(string folder) => File.Exists(Path.Combine(folder, ConfigFile));

    /// <exception cref="FaultException">When there is none, or it is not for us.</exception>
    public static AdapterFolder Read(string folder)
    {
        var path = Path.Combine(folder, ConfigFile);
        if (!File.Exists(path))
            throw new FaultException(path, null, "There is no adapter_config.json in this folder.", "Give the folder of a PEFT adapter: adapter_config.json and adapter_model.safetensors.");
        try
        {
            var json = JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new JsonException("Not a JSON object.");
            Check(path, json);
            foreach (var (name, _) in json.Where(member => member.Value is null).ToList())
                json.Remove(name); // null is PEFT's word for its default.
            var head = TaskTypes.Where(entry => entry.Value == json["task_type"]?.GetValue<string>()).Select(entry => (ModelHead?)entry.Key).FirstOrDefault();
            return new(json.Deserialize<LoraConfig>(Json)!, json["base_model_name_or_path"]?.GetValue<string>() ?? "", head) { FanInFanOut = json["fan_in_fan_out"]?.GetValue<bool>() == true };
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new FaultException(path, null, $"adapter_config.json cannot be read: {error.Message}", "Fetch the file again from its origin.");
        }
    }

    /// <summary>The folder of the base model: where its name says, beside the adapter, or what the run that wrote this checkpoint started from.</summary>
    /// <param name="given">What a person named instead, or null.</param>
    /// <exception cref="FaultException">When it is nowhere.</exception>
    public string FindBase(string folder, string? given)
    {
        if (given is not null)
            return File.Exists(Path.Combine(given, "config.json")) ? given : throw new FaultException("--base", given, "There is no model in this folder.", "Give the folder of the base model, with its config.json.");
        string?[] candidates =
        [
            BaseName.Length == 0 ? null : Path.Combine(folder, BaseName),
            BaseName.Length == 0 ? null : Path.Combine(folder, "..", BaseName),
            BaseName.Length == 0 ? null : Path.Combine(folder, "..", "..", BaseName), // an adapter and a base that are organisation/name
            BaseOfRun(Path.Combine(folder, "..", "..")),
        ];
        return candidates.FirstOrDefault(candidate => candidate is not null && File.Exists(Path.Combine(candidate, "config.json")) && !Is(candidate)) is { } found
            ? Path.GetFullPath(found)
            : throw new FaultException(
                $"{Path.Combine(folder, ConfigFile)}#/base_model_name_or_path", BaseName, "The base model of this adapter was not found: neither by its path, nor beside the adapter, nor by the run that made it.",
                "Put the adapter beside its base model, or name the base's folder (--base).");
    }

    /// <summary>Writes adapter_config.json with every key that PEFT 0.20 writes.</summary>
    public void Write(string folder)
    {
        var config = JsonSerializer.SerializeToNode(Config, Json)!.AsObject();
        var json = new JsonObject
        {
            ["base_model_name_or_path"] = BaseName,
            ["fan_in_fan_out"] = FanInFanOut,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["loftq_config"] = new JsonObject(),
            ["ensure_weight_tying"] = false,
            ["lora_bias"] = false,
            ["megatron_core"] = "megatron.core",
            ["peft_type"] = "LORA",
            ["peft_version"] = "0.20.0", // whose layout this is
            ["qalora_group_size"] = 16,
            ["task_type"] = Head is { } head ? TaskTypes.GetValueOrDefault(head) : null,
            ["use_qalora"] = false,
        };
        foreach (var absent in (string[])["auto_mapping", "corda_config", "eva_config", "lora_ga_config", "megatron_config", "revision", .. Unsupported.Where(name => !json.ContainsKey(name))])
            json[absent] = null;
        foreach (var name in (string[])["r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "modules_to_save", "bias", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern"])
            json[name] = config[name]?.DeepClone();
        var sorted = new JsonObject(json.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => KeyValuePair.Create(member.Key, member.Value?.DeepClone())));
        File.WriteAllText(Path.Combine(folder, ConfigFile), sorted.ToJsonString(SnakeCaseJson.Indented));
    }

    private static void Check(string path, JsonObject json)
    {
        var faults = new FaultList();
        var type = json["peft_type"]?.GetValue<string>();
        faults.Require(type == "LORA", $"{path}#/peft_type", type, "Only LoRA adapters are known here.", "Give an adapter of type LORA, or merge this one with PEFT first.");
        foreach (var name in Unsupported)
            faults.Require(IsOff(json[name]), $"{path}#/{name}", json[name]?.ToJsonString(), "This option of PEFT does not exist here.", "Merge the adapter with PEFT first, and use the result.");
        if (json["init_lora_weights"] is JsonValue start && start.GetValueKind() == JsonValueKind.String)
            faults.Require(
                HarmlessStarts.Contains(start.GetValue<string>()), $"{path}#/init_lora_weights", start.GetValue<string>(), "Such an adapter belongs to a base whose weights PEFT has changed.",
                "Convert it with PEFT (save_pretrained with path_initial_model_for_weight_conversion).");
        faults.ThrowIfAny();
    }

    private static bool IsOff(JsonNode? value) => value switch
    {
        null => true,
        JsonArray list => list.Count == 0,
        JsonObject members => members.Count == 0,
        _ => value.GetValueKind() == JsonValueKind.False,
    };

    private static string? BaseOfRun(string runFolder)
    {
        var job = new RunFolder(runFolder).Job;
        if (!File.Exists(job))
            return null;
        var name = JsonNode.Parse(File.ReadAllText(job))?["base_model"]?.GetValue<string>();
        return name is null ? null : Path.Combine(runFolder, name);
    }
}
