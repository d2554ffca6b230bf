using System.Globalization;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;

namespace FineTuneService.Training.Methods;

/// <summary>A layer to adapt.</summary>
internal sealed record LoraTarget(string Name, AdaptableLayer Layer, int Rank, double Alpha);

/// <summary>What a configuration means for a model, by PEFT's rules (<c>tuners_utils.py</c>, <c>other.py</c>).</summary>
/// <param name="TargetModules">As they are written to adapter_config.json: names, or the pattern that was given.</param>
/// <param name="ModulesToSave">Names or endings, as they are written to adapter_config.json.</param>
/// <param name="SavedKeys">Tensors of those modules.</param>
internal sealed partial record LoraTargets(IReadOnlyList<LoraTarget> Layers, OneOrMany<string> TargetModules, IReadOnlyList<string> ModulesToSave, IReadOnlySet<string> SavedKeys)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>PEFT's names of classification heads (<c>SEQ_CLS_HEAD_NAMES</c>), which it saves for such tasks.</summary>
    private static readonly string[] ClassificationHeads = ["classifier", "score"];

    /// <summary>Queries and values by the names that families give them, the first pair that exists; PEFT has the same choice as a table of families.</summary>
    private static readonly string[][] UsualTargets =
        [["query", "value"], ["q_proj", "v_proj"], ["q_lin", "v_lin"], ["c_attn"], ["query_proj", "value_proj"], ["qkv_proj"], ["query_key_value"], ["in_proj"]];

    /// <param name="newKeys">Tensors that the base lacks: their layers are saved whole, or nobody could use the adapter.</param>
    /// <exception cref="FaultException">When names match nothing, or a rank is too high for its layer; all of it at once.</exception>
    public static LoraTargets Find(PretrainedModel model, LoraConfig config, ModelHead head, IReadOnlyCollection<string> newKeys)
    {
        var faults = new FaultList();
        var modules = model.named_modules().Where(module => module.name.Length > 0).ToList();
        var layers = modules.Where(module => module.module is AdaptableLayer).Select(module => (Name: module.name, Layer: (AdaptableLayer)module.module)).ToList();
        var toSave = FindModulesToSave([.. modules.Select(module => module.name)], config, head, newKeys, faults);
        var targets = config.TargetModules ?? Usual(layers.Select(layer => layer.Name));
        var candidates = layers.Where(layer => !IsExcluded(layer.Name, config, toSave)).ToList();
        var found = (targets is { IsOne: true, Values: [LoraConfig.AllLinear] }
            ? candidates.Where(layer => layer.Layer is not Embedding && !IsOutput(model, layer))
            : candidates.Where(layer => Matches(layer.Name, targets, config))).ToList();
        if (found.Count == 0)
            faults.Add("/method/target_modules", config.TargetModules, "No layer of this model has such a name.", $"Its layers are: {string.Join(", ", candidates.Select(layer => Ending(layer.Name)).Distinct())}.");

        // Who changes such an embedding in place, as merging does, changes the head as well, which training did not.
        var isTied = head is ModelHead.CausalLm or ModelHead.MaskedLm && !layers.Any(layer => IsOutput(model, layer));
        foreach (var (name, layer) in found.Where(layer => isTied && layer.Layer is Embedding && layer.Layer.InFeatures == model.Config.VocabSize))
            faults.Add("/method/target_modules", name, "This embedding is the model's output layer too: an update of the one cannot be merged without changing the other.", "Adapt other modules.");

        var chosen = found.Select(layer => new LoraTarget(
            layer.Name, layer.Layer, Of(config.RankPattern, layer.Name, config.R), Of(config.AlphaPattern, layer.Name, config.LoraAlpha))).ToList();
        foreach (var group in chosen.Where(target => target.Rank > Math.Min(target.Layer.InFeatures, target.Layer.OutFeatures)).GroupBy(target => Ending(target.Name)))
            faults.Add(
                config.RankPattern.Count > 0 ? "/method/rank_pattern" : "/method/r", group.First().Rank,
                $"Layer {group.Key} is {group.First().Layer.OutFeatures} × {group.First().Layer.InFeatures}: an update of that rank would be no smaller than the layer.",
                $"Give at most {Math.Min(group.First().Layer.InFeatures, group.First().Layer.OutFeatures)}.");
        faults.ThrowIfAny();
        var names = targets is { IsOne: true, Values: not [LoraConfig.AllLinear] } ? targets
            : config.TargetModules is { IsOne: true } ? new([.. chosen.Select(target => target.Name)])
            : targets;
        var saved = modules.Where(module => toSave.Any(name => module.name.EndsWith(name, StringComparison.Ordinal)))
            .SelectMany(module => module.module.named_parameters().Select(parameter => $"{module.name}.{parameter.name}")).ToHashSet();
        return new(chosen, names, toSave, saved);
    }

    private static List<string> FindModulesToSave(List<string> modules, LoraConfig config, ModelHead head, IReadOnlyCollection<string> newKeys, FaultList faults)
    {
        var heads = head is ModelHead.SequenceClassification or ModelHead.TokenClassification ? ClassificationHeads : [];
        foreach (var name in (config.ModulesToSave ?? []).Except(ClassificationHeads))
            faults.Require(
                modules.Any(module => module.EndsWith(name, StringComparison.Ordinal)), "/method/modules_to_save", name, "This model has no such module.", $"It has: {string.Join(", ", modules.Select(Ending).Distinct())}.");
        List<string> toSave = [.. (config.ModulesToSave ?? []).Union(heads)];
        foreach (var module in newKeys.Select(key => key[..key.LastIndexOf('.')]).Distinct())
            if (!toSave.Any(name => IsWithin(module, name)))
                toSave.Add(module);
        return toSave;
    }

    private static OneOrMany<string> Usual(IEnumerable<string> names)
    {
        var endings = names.Select(name => name.Split('.')[^1]).ToHashSet();
        return new(UsualTargets.FirstOrDefault(targets => targets.All(endings.Contains)) ?? UsualTargets[0]);
    }

    /// <summary>The layer that turns hidden states into words; by its shape, since its name differs.</summary>
    private static bool IsOutput(PretrainedModel model, (string Name, AdaptableLayer Layer) layer) =>
        !layer.Name.StartsWith(model.BaseModelPrefix + ".", StringComparison.Ordinal) && layer.Layer.OutFeatures == model.Config.VocabSize;

    private static bool IsExcluded(string name, LoraConfig config, List<string> toSave) =>
        toSave.Any(saved => IsWithin(name, saved)) || config.ExcludeModules switch
        {
            null => false,
            { IsOne: true } pattern => Full(pattern.Values[0], name),
            var names => names.Values.Any(ending => EndsWith(name, ending)),
        };

    private static bool IsWithin(string name, string module) => $".{name}.".Contains($".{module}.", StringComparison.Ordinal);

    private static bool EndsWith(string name, string ending) => name == ending || name.EndsWith("." + ending, StringComparison.Ordinal);

    private static bool Matches(string name, OneOrMany<string> targets, LoraConfig config)
    {
        if (targets.IsOne)
            return Full(targets.Values[0], name);
        if (targets.Values.Contains(name))
            return true; // A whole name is not asked for its layer's number.
        return targets.Values.Any(ending => EndsWith(name, ending)) && (config.LayersToTransform is not { Values.Count: > 0 } layers || LayerOf(name, config.LayersPattern) is { } layer && layers.Values.Contains(layer));
    }

    private static int? LayerOf(string name, OneOrMany<string>? patterns)
    {
        var found = patterns is not { Values.Count: > 0 }
            ? AnyLayer().Match(name)
            : patterns.Values.Select(pattern => Regex.Match(name, $@"^.*?\.{pattern}\.(\d+)\.", RegexOptions.CultureInvariant, Patience)).FirstOrDefault(match => match.Success);
        return found is { Success: true } ? int.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture) : null;
    }

    /// <summary>Python's <c>re.fullmatch</c>.</summary>
    private static bool Full(string pattern, string name) => Regex.IsMatch(name, $@"\A(?:{pattern})\z", RegexOptions.CultureInvariant, Patience);

    /// <summary>PEFT's <c>get_pattern_key</c>.</summary>
    private static T Of<T>(IReadOnlyDictionary<string, T> patterns, string name, T usual)
    {
        foreach (var (pattern, value) in patterns)
            if (Regex.IsMatch(name, $@"\A(.*\.)?({pattern})\z", RegexOptions.CultureInvariant, Patience))
                return value;
        return usual;
    }

    /// <summary>A name without what repeats in every layer: <c>encoder.layer.3.attention.self.query</c> becomes <c>attention.self.query</c>.</summary>
    private static string Ending(string name) => Numbered().Replace(name, "");

    [GeneratedRegex(@"^.*?\.[^.]*\.(\d+)\.", RegexOptions.CultureInvariant)]
    private static partial Regex AnyLayer();

    [GeneratedRegex(@"^.*\.\d+\.", RegexOptions.CultureInvariant)]
    private static partial Regex Numbered();
}
