using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;

namespace FineTuneService.Training.Methods;

/// <summary>A layer to adapt.</summary>
internal sealed record LoraTarget(string Name, AdaptableLayer Layer, int Rank, double Alpha);

/// <summary>What a configuration means for a model.</summary>
/// <param name="TargetModules">As they are written to adapter_config.json: names, or the pattern that was given.</param>
/// <param name="ModulesToSave">Names or endings, as they are written to adapter_config.json.</param>
/// <param name="SavedKeys">Tensors of those modules.</param>
internal sealed record LoraTargets(IReadOnlyList<LoraTarget> Layers, OneOrMany<string> TargetModules, IReadOnlyList<string> ModulesToSave, IReadOnlySet<string> SavedKeys)
{
    /// <param name="newKeys">Tensors that the base lacks: their layers are saved whole, or nobody could use the adapter.</param>
    /// <exception cref="FaultException">When names match nothing, or a rank is too high for its layer; all of it at once.</exception>
    public static LoraTargets Find(PretrainedModel model, LoraConfig config, ModelHead head, IReadOnlyCollection<string> newKeys)
    {
        var faults = new FaultList();
        var modules = model.named_modules().Where(module => module.name.Length > 0).ToList();
        var layers = modules.Where(module => module.module is AdaptableLayer).ToDictionary(module => module.name, module => (AdaptableLayer)module.module);
        var toSave = FindModulesToSave([.. modules.Select(module => module.name)], config, head, newKeys, faults);
        var selection = LoraSelection.Choose(Outlines(model), config, head, model.Config.VocabSize, toSave, faults);
        faults.ThrowIfAny();
        var saved = modules.Where(module => toSave.Any(name => module.name.EndsWith(name, StringComparison.Ordinal)))
            .SelectMany(module => module.module.named_parameters().Select(parameter => $"{module.name}.{parameter.name}")).ToHashSet();
        return new([.. selection.Layers.Select(chosen => new LoraTarget(chosen.Name, layers[chosen.Name], chosen.Rank, chosen.Alpha))], selection.Targets, toSave, saved);
    }

    /// <summary>What <see cref="LayerOutline.Of"/> tells from the header of the weights.</summary>
    internal static IReadOnlyList<LayerOutline> Outlines(PretrainedModel model) =>
    [
        .. from module in model.named_modules()
           let layer = module.module as AdaptableLayer
           where layer is not null
           let isInBase = module.name.StartsWith(model.BaseModelPrefix + ".", StringComparison.Ordinal)
           // The output by its shape, since its name differs.
           select new LayerOutline(module.name, [layer.OutFeatures, layer.InFeatures], layer is Embedding, !isInBase && layer.OutFeatures == model.Config.VocabSize),
    ];

    private static List<string> FindModulesToSave(List<string> modules, LoraConfig config, ModelHead head, IReadOnlyCollection<string> newKeys, FaultList faults)
    {
        foreach (var name in (config.ModulesToSave ?? []).Except(LoraSelection.ClassificationHeads))
            faults.Require(
                modules.Any(module => module.EndsWith(name, StringComparison.Ordinal)), "/method/modules_to_save", name, "This model has no such module.", $"It has: {string.Join(", ", modules.Select(LoraSelection.Ending).Distinct())}.");
        var toSave = config.SavedWhole(head).ToList();
        foreach (var module in newKeys.Select(key => key[..key.LastIndexOf('.')]).Distinct())
            if (!toSave.Any(name => LoraSelection.IsWithin(module, name)))
                toSave.Add(module);
        return toSave;
    }
}
