using FineTuneService.Contracts;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Switches a model's adapter off until it is disposed: the model computes as its base did, as a reference model for preference learning must.</summary>
public sealed class AdapterSwitch : IDisposable
{
    private readonly LoraUpdate[] _updates;

    /// <exception cref="FaultException">When more than the adapter is trained, so that the base is no longer there.</exception>
    public AdapterSwitch(PretrainedModel model)
    {
        _updates = [.. model.modules().OfType<AdaptableLayer>().Select(layer => layer.Update).OfType<LoraUpdate>()];
        var factors = _updates.SelectMany(update => update.Factors).Select(factor => factor.Factor.weight.Handle).ToHashSet();
        var changed = model.named_parameters().Where(entry => entry.parameter.requires_grad && !factors.Contains(entry.parameter.Handle)).Select(entry => entry.name).ToList();
        if (changed.Count > 0)
            throw new FaultException(
                "/method", string.Join(", ", changed.Take(3)), "The base model is needed as it was, and these of its weights are trained.", "Use lora with bias none and without modules_to_save.");
        if (_updates.Any(update => update.IsMerged))
            throw new InvalidOperationException("A merged adapter cannot be switched off: unmerge it first.");
        Set(false);
    }

    public void Dispose() => Set(true);

    private void Set(bool enabled)
    {
        foreach (var update in _updates)
            update.IsEnabled = enabled;
    }
}
