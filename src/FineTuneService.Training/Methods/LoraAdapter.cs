using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Methods;

/// <summary>The updates attached to a model, with whatever else is trained beside its frozen base; lies on disk as PEFT's adapter folder.</summary>
public sealed class LoraAdapter : TrainedWeights
{
    private static readonly string[] BareParameters = [LoraUpdate.Magnitude, "lora_embedding_A", "lora_embedding_B"];

    private readonly PretrainedModel _model;
    private readonly LoraTargets _targets;
    private readonly AdapterFolder _description;

    private LoraAdapter(PretrainedModel model, LoraTargets targets, AdapterFolder description, IReadOnlyList<string> newKeys) =>
        (_model, _targets, _description, NewKeys) = (model, targets, description, newKeys);

    public override IReadOnlyList<string> NewKeys { get; }

    /// <summary>What is trained: PEFT's key in adapter_model.safetensors, and the weights in the precision of training.</summary>
    public IEnumerable<(string Key, Tensor Tensor)> Tensors =>
        from entry in _model.named_parameters()
        where entry.parameter.requires_grad
        select (KeyOf(entry.name), _model.Masters?.Exact(entry.name, entry.parameter) ?? entry.parameter);

    /// <summary>Adds fresh updates to a model whose weights are there, and freezes the rest.</summary>
    /// <param name="baseName">What adapter_config.json calls the base.</param>
    /// <param name="newKeys">Tensors that the base lacked; their layers are trained and saved whole.</param>
    /// <exception cref="FaultException">When the configuration does not fit the model.</exception>
    public static LoraAdapter Attach(PretrainedModel model, LoraConfig config, ModelHead head, string baseName, IReadOnlyList<string> newKeys, long seed)
    {
        var targets = LoraTargets.Find(model, config, head, newKeys);
        using var generator = new Generator((ulong)seed);
        foreach (var target in targets.Layers)
            target.Layer.Attach(target.Rank, target.Alpha / (config.UseRslora ? Math.Sqrt(target.Rank) : target.Rank), config.LoraDropout, config.UseDora, generator);
        var adapted = targets.Layers.Select(target => target.Name + ".").ToList();
        var factors = adapted.SelectMany(layer => model.named_parameters().Where(entry => entry.name.StartsWith(layer + "lora_", StringComparison.Ordinal)).Select(entry => entry.name)).ToHashSet();
        foreach (var (name, parameter) in model.named_parameters())
            parameter.requires_grad = factors.Contains(name) || targets.SavedKeys.Contains(name) || config.Bias switch
            {
                LoraBias.All => name.EndsWith(".bias", StringComparison.Ordinal),
                LoraBias.LoraOnly => adapted.Any(layer => name == layer + "bias"),
                _ => false,
            };
        var description = new AdapterFolder(config with { TargetModules = targets.TargetModules, ModulesToSave = targets.ModulesToSave is [] ? null : targets.ModulesToSave }, baseName, head)
        {
            FanInFanOut = targets.Layers.Any(target => target.Layer.IsStoredInByOut),
        };
        return new(model, targets, description, newKeys);
    }

    public override void Save(string folder)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(Path.Combine(folder, AdapterFolder.WeightsFile), Tensors.Select(entry => (entry.Key, Stored(entry.Key, entry.Tensor))));
        _description.Write(folder);
        // PEFT leaves it out; without it nobody knows the classes.
        PretrainedFolder.SaveConfig(folder, _model);
    }

    /// <exception cref="FaultException">When the adapter was made for another base or with other options.</exception>
    public override void Load(string folder)
    {
        var path = Path.Combine(folder, AdapterFolder.WeightsFile);
        using var reader = SafetensorsReader.Open(path);
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var expected = Tensors.ToDictionary(entry => entry.Key, entry => Stored(entry.Key, entry.Tensor));
        var faults = new FaultList();
        Tell(expected.Keys.Except(reader.Entries.Keys), "The adapter lacks tensors that this base and its adapter_config.json call for");
        Tell(
            // PEFT saves embeddings a second time when they are adapted.
            reader.Entries.Keys.Except(expected.Keys).Where(key => !key.EndsWith(".base_layer.weight", StringComparison.Ordinal)),
            "The adapter has tensors that this base has no place for");
        Tell(
            expected.Where(entry => reader.Entries.TryGetValue(entry.Key, out var stored) && !stored.Shape.SequenceEqual(entry.Value.shape)).Select(entry => entry.Key),
            "The adapter's tensors have other shapes than this base's layers");
        faults.ThrowIfAny();
        foreach (var (key, parameter) in expected)
            reader.CopyTo(key, parameter);
        _model.Masters?.Refresh();

        void Tell(IEnumerable<string> keys, string message)
        {
            string[] names = [.. keys.Order(StringComparer.Ordinal)];
            faults.Require(names.Length == 0, path, string.Join(", ", names.Take(3)), $"{message}: {names.Length} in all.", $"Give the base model that the adapter was trained on ({_description.BaseName}).");
        }
    }

    /// <summary>True when the adapter brings this tensor whole.</summary>
    public bool Brings(string key) => _targets.SavedKeys.Contains(key);

    /// <summary>Brings the updates into the weights of the base, in place.</summary>
    public void Merge()
    {
        foreach (var target in _targets.Layers)
            target.Layer.Update!.Merge();
    }

    public void Unmerge()
    {
        foreach (var target in _targets.Layers)
            target.Layer.Update!.Unmerge();
    }

    /// <summary>Merges, and leaves a model that never had an adapter; this object is of no more use. PEFT's <c>merge_and_unload</c>.</summary>
    public void MergeAndUnload()
    {
        Merge();
        foreach (var target in _targets.Layers)
            target.Layer.Detach();
    }

    private string KeyOf(string name)
    {
        var parts = name.Split('.');
        var inLayer = string.Join('.', parts[..^1]);
        var key = parts.Length > 1 && BareParameters.Contains(parts[^2]) ? inLayer
            : parts[^1] == "bias" && _targets.Layers.Any(target => target.Name == inLayer) ? $"{inLayer}.base_layer.bias"
            : name;
        return AdapterFolder.Prefix + key;
    }

    /// <summary>A view in the shape of the file, where a magnitude is a plain vector.</summary>
    private static Tensor Stored(string key, Tensor parameter) => key.EndsWith(LoraUpdate.Magnitude, StringComparison.Ordinal) ? parameter.view(-1) : parameter;
}
