using System.Globalization;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Methods;

/// <summary>Which layers a configuration adapts, and with what rank, by PEFT's rules (<c>tuners_utils.py</c>, <c>other.py</c>). Names and shapes are enough for it.</summary>
/// <param name="Layers">In the model's order.</param>
/// <param name="Targets">As they are written to adapter_config.json: names, or the pattern that was given.</param>
internal sealed partial record LoraSelection(IReadOnlyList<LoraSelection.Chosen> Layers, OneOrMany<string> Targets)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>PEFT's names of classification heads (<c>SEQ_CLS_HEAD_NAMES</c>), which it saves for such tasks.</summary>
    internal static readonly string[] ClassificationHeads = ["classifier", "score"];

    /// <summary>Queries and values by the names that families give them, the first pair that exists; PEFT has the same choice as a table of families.</summary>
    private static readonly string[][] UsualTargets =
        [["query", "value"], ["q_proj", "v_proj"], ["q_lin", "v_lin"], ["c_attn"], ["query_proj", "value_proj"], ["qkv_proj"], ["Wqkv"], ["query_key_value"], ["in_proj"]];

    internal sealed record Chosen(string Name, int Rank, double Alpha);

    /// <summary>Collects what does not fit: names that match nothing, a rank too high for its layer, an embedding that is the output as well.</summary>
    /// <param name="toSave">Modules that are saved whole, and so not adapted.</param>
    public static LoraSelection Choose(IReadOnlyList<LayerOutline> layers, LoraConfig config, ModelHead head, int vocabSize, IReadOnlyCollection<string> toSave, FaultList faults)
    {
        var targets = config.TargetModules ?? Usual(layers.Select(layer => layer.Name));
        var candidates = layers.Where(layer => !IsExcluded(layer.Name, config, toSave)).ToList();
        var found = (targets is { IsOne: true, Values: [LoraConfig.AllLinear] }
            ? candidates.Where(layer => layer is { IsEmbedding: false, IsOutput: false })
            : candidates.Where(layer => Matches(layer.Name, targets, config))).ToList();
        if (found.Count == 0)
            faults.Add("/method/target_modules", config.TargetModules, "No layer of this model has such a name.", $"Its layers are: {string.Join(", ", candidates.Select(layer => Ending(layer.Name)).Distinct())}.");

        // Who changes such an embedding in place, as merging does, changes the head as well, which training did not.
        var isTied = head is ModelHead.CausalLm or ModelHead.MaskedLm && !layers.Any(layer => layer.IsOutput);
        foreach (var layer in found.Where(layer => isTied && layer.IsEmbedding && layer.Shape.Contains(vocabSize)))
            faults.Add("/method/target_modules", layer.Name, "This embedding is the model's output layer too: an update of the one cannot be merged without changing the other.", "Adapt other modules.");

        var chosen = found.Select(layer => (Layer: layer, Choice: new Chosen(layer.Name, Of(config.RankPattern, layer.Name, config.R), Of(config.AlphaPattern, layer.Name, config.LoraAlpha)))).ToList();
        foreach (var group in chosen.Where(one => one.Layer.Shape.Any(size => one.Choice.Rank > size)).GroupBy(one => Ending(one.Layer.Name)))
            faults.Add(
                config.RankPattern.Count > 0 ? "/method/rank_pattern" : "/method/r", group.First().Choice.Rank,
                $"Layer {group.Key} is {string.Join(" × ", group.First().Layer.Shape)}: an update of that rank would be no smaller than the layer.",
                $"Give at most {group.First().Layer.Shape.Min()}.");
        var names = targets is { IsOne: true, Values: not [LoraConfig.AllLinear] } ? targets
            : config.TargetModules is { IsOne: true } ? new([.. found.Select(layer => layer.Name)])
            : targets;
        return new([.. chosen.Select(one => one.Choice)], names);
    }

    private static OneOrMany<string> Usual(IEnumerable<string> names)
    {
        var endings = names.Select(name => name.Split('.')[^1]).ToHashSet();
        return new(UsualTargets.FirstOrDefault(targets => targets.All(endings.Contains)) ?? UsualTargets[0]);
    }

    private static bool IsExcluded(string name, LoraConfig config, IReadOnlyCollection<string> toSave) =>
        toSave.Any(saved => IsWithin(name, saved)) || config.ExcludeModules switch
        {
            null => false,
            { IsOne: true } pattern => Full(pattern.Values[0], name),
            var names => names.Values.Any(ending => EndsWith(name, ending)),
        };

    internal static bool IsWithin(string name, string module) => $".{name}.".Contains($".{module}.", StringComparison.Ordinal);

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
    internal static string Ending(string name) => Numbered().Replace(name, "");

    [GeneratedRegex(@"^.*?\.[^.]*\.(\d+)\.", RegexOptions.CultureInvariant)]
    private static partial Regex AnyLayer();

    [GeneratedRegex(@"^.*\.\d+\.", RegexOptions.CultureInvariant)]
    private static partial Regex Numbered();
}
