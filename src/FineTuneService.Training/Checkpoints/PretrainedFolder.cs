using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Checkpoints;

/// <summary>A model in the hub's layout: config.json, model.safetensors (or shards with an index).</summary>
public static class PretrainedFolder
{
    /// <summary>What loading found besides the weights.</summary>
    /// <param name="NewKeys">Tensors that the checkpoint lacks or has in another shape, set anew: a head, as a rule.</param>
    /// <param name="UnusedKeys">Tensors that the model has no place for: another head, as a rule.</param>
    public sealed record Loaded(IReadOnlyList<string> NewKeys, IReadOnlyList<string> UnusedKeys);

    /// <summary>Takes a tensor in place of its parameter, in another form: key in the model, file, key in the file. False: it is copied as usual.</summary>
    public delegate bool Taker(string key, SafetensorsReader reader, string stored);

    /// <summary>Fills <paramref name="model"/> from a folder; heads that the folder lacks are drawn from <paramref name="seed"/>.</summary>
    /// <param name="take">Asked for each tensor that fits.</param>
    /// <exception cref="FaultException">When a tensor of the base model is missing or has another shape, all of them at once.</exception>
    public static Loaded LoadWeights(string folder, PretrainedModel model, long seed, Taker? take = null)
    {
        if (model.TrainingOnlyPrefix is { } prefix && File.Exists(TrainingOnly(folder, prefix)))
            LoadTrainingOnly(TrainingOnly(folder, prefix), model);
        using var reader = SafetensorsReader.Open(folder);
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var faults = new FaultList();
        var newKeys = new HashSet<string>();
        var used = new HashSet<string>();
        foreach (var (key, parameter) in model.ExactState())
        {
            if (IsTrainingOnly(key, model) && File.Exists(TrainingOnly(folder, model.TrainingOnlyPrefix!)))
                continue;
            var stored = Spellings(key, model).FirstOrDefault(reader.Entries.ContainsKey);
            var packed = stored is null ? null : Nf4File.ShapeOf(reader, stored);
            var fits = stored is not null && (packed ?? reader.Entries[stored].Shape).SequenceEqual(parameter.shape);
            if (fits)
            {
                if (take?.Invoke(key, reader, stored!) != true)
                    Copy(reader, stored!, packed is not null, parameter);
                used.UnionWith(packed is null ? [stored!] : Nf4File.Parts(reader, stored!));
            }
            else if (model.IsNewForTask(key))
                newKeys.Add(key);
            else if (stored is null)
                faults.Add($"{folder}#{key}", null, "The checkpoint lacks this tensor.", "Fetch the model again, or correct model_type in config.json.");
            else
                faults.Add(
                    $"{folder}#{key}", $"[{string.Join(", ", reader.Entries[stored].Shape)}]",
                    $"The tensor's shape is not [{string.Join(", ", parameter.shape)}], as config.json has it.", "Make config.json and model.safetensors agree.");
        }
        faults.ThrowIfAny();
        using var generator = new Generator((ulong)seed);
        model.InitializeWeights(newKeys, generator);
        model.Masters?.Refresh();
        return new([.. newKeys], [.. reader.Entries.Keys.Except(used)]);
    }

    /// <summary>Draws all weights from <paramref name="seed"/>, as transformers does for a model made from its configuration.</summary>
    public static void Initialize(PretrainedModel model, long seed)
    {
        using var generator = new Generator((ulong)seed);
        model.InitializeWeights(model.state_dict().Keys.ToHashSet(), generator);
    }

    /// <summary>Writes config.json and model.safetensors as transformers' <c>save_pretrained</c> lays them out, in the type that config.json names.</summary>
    public static void Save(string folder, PretrainedModel model)
    {
        var tensors = model.ExactState().ToLookup(entry => IsTrainingOnly(entry.Key, model));
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors[false], floats: model.Config.StoredType);
        if (model.TrainingOnlyPrefix is { } prefix)
            SafetensorsWriter.Write(TrainingOnly(folder, prefix), tensors[true]);
        SaveConfig(folder, model);
    }

    public static void SaveConfig(string folder, PretrainedModel model) =>
        File.WriteAllText(Path.Combine(folder, "config.json"), model.Config.ToJson(model.Architecture).ToJsonString(SnakeCaseJson.Indented));

    private static void Copy(SafetensorsReader reader, string stored, bool isPacked, Tensor parameter)
    {
        if (!isPacked)
        {
            reader.CopyTo(stored, parameter);
            return;
        }
        using var scope = NewDisposeScope();
        using var matrix = Nf4File.Read(reader, stored);
        parameter.copy_(matrix.Dequantize());
    }

    private static string TrainingOnly(string folder, string prefix) => Path.Combine(folder, prefix + ".safetensors");

    private static bool IsTrainingOnly(string key, PretrainedModel model) => model.TrainingOnlyPrefix is { } prefix && key.StartsWith(prefix + ".", StringComparison.Ordinal);

    private static void LoadTrainingOnly(string file, PretrainedModel model)
    {
        using var reader = SafetensorsReader.Open(file);
        using var _ = no_grad();
        foreach (var (key, parameter) in model.ExactState().Where(entry => IsTrainingOnly(entry.Key, model)))
            reader.CopyTo(key, parameter);
    }

    /// <summary>The names under which a tensor may stand in a file: with and without the base model's prefix, TensorFlow's old norm names, and that of a copy.</summary>
    private static IEnumerable<string> Spellings(string key, PretrainedModel model)
    {
        var prefix = model.BaseModelPrefix;
        string[] names = key.StartsWith(prefix + ".", StringComparison.Ordinal) ? [key, key[(prefix.Length + 1)..]] : [key];
        foreach (var name in names)
        {
            yield return name;
            if (name.EndsWith("LayerNorm.weight", StringComparison.Ordinal))
                yield return name[..^"weight".Length] + "gamma";
            if (name.EndsWith("LayerNorm.bias", StringComparison.Ordinal))
                yield return name[..^"bias".Length] + "beta";
        }
        if (model.StoredCopies.TryGetValue(key, out var copy))
            yield return copy;
    }
}
