using System.ComponentModel.DataAnnotations;
using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;

namespace FineTuneService.Training.Methods;

/// <summary>What stays as it is in the base model: less to compute and to remember, and less to forget.</summary>
public sealed record FreezeConfig
{
    private const string Pointer = "/method/freeze";

    /// <summary>How many of the lowest blocks.</summary>
    [Range(0, 10_000)]
    public int Layers { get; init; }

    /// <summary>Tables of words and positions, with what normalises them.</summary>
    public bool Embeddings { get; init; }

    /// <summary>All but what the task brings: only the head is trained.</summary>
    public bool AllButHead { get; init; }

    /// <summary>What the names in a file of weights tell.</summary>
    internal void Check(IReadOnlyList<LayerOutline> layers, FaultList faults)
    {
        var blocks = layers.SelectMany(layer => layer.Name.Split('.')).Select(part => int.TryParse(part, CultureInfo.InvariantCulture, out var block) ? block + 1 : 0).DefaultIfEmpty().Max();
        if (blocks > 0)
            CheckLayers(blocks, faults);
    }

    /// <exception cref="FaultException">When there are fewer blocks, or nothing is left to train.</exception>
    internal void Apply(PretrainedModel model)
    {
        var depths = new ParameterDepths(model);
        var faults = new FaultList();
        CheckLayers(depths.Blocks, faults);
        foreach (var (name, parameter) in model.named_parameters())
            if (Freezes(name, depths, model.IsNewForTask(name)))
                parameter.requires_grad = false;
        faults.Require(model.parameters().Any(parameter => parameter.requires_grad), Pointer, null, "Nothing is left to train: this model's head is its table of words.", "Freeze less.");
        faults.ThrowIfAny();
    }

    /// <param name="isNew">Whether the task brings the parameter.</param>
    internal bool Freezes(string name, ParameterDepths depths, bool isNew) =>
        (AllButHead && !isNew) || (Embeddings && depths.IsEmbedding(name)) || depths.BlockOf(name) < Layers;

    private void CheckLayers(int blocks, FaultList faults) =>
        faults.Require(Layers <= blocks, $"{Pointer}/layers", Layers, $"The model has {blocks} blocks.", $"Give at most {blocks}.");
}
