using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>
/// Exponential moving average of the trained weights (Polyak and Juditsky 1992), from their values before the first step on: w̄ ← decay · w̄ + (1 − decay) · w.
/// While it is used, it stands in the model and the trained weights in its place, so that whatever reads the model finds the average.
/// </summary>
public sealed class WeightAverage
{
    private readonly double _decay;
    private readonly MasterWeights? _masters;
    private readonly (string Name, Tensor Weight, Tensor Other)[] _weights;

    public WeightAverage(PretrainedModel model, double decay)
    {
        using var _ = no_grad();
        (_decay, _masters) = (decay, model.Masters);
        _weights =
        [
            .. from entry in model.named_parameters()
               where entry.parameter.requires_grad
               let weight = _masters?.Exact(entry.name, entry.parameter) ?? entry.parameter
               select (entry.name, weight, weight.detach().clone().DetachFromDisposeScope()),
        ];
    }

    /// <summary>What a checkpoint needs beside the model in it, which is the average: the trained weights. To be read while the average is used.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> State => _weights.Select(weight => ($"trained.{weight.Name}", weight.Other));

    /// <summary>Takes the weights of a new step in.</summary>
    public void Follow()
    {
        using var _ = no_grad();
        foreach (var (_, weight, average) in _weights)
            average.mul_(_decay).add_(weight, alpha: 1 - _decay);
    }

    /// <summary>The average is the model's weights until the result is disposed.</summary>
    public IDisposable Use()
    {
        Swap();
        return new Turn(this);
    }

    /// <summary>Exchanges the weights in the model for those that are kept here.</summary>
    public void Swap()
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (_, weight, other) in _weights)
        {
            using var kept = weight.detach().clone();
            weight.detach().copy_(other);
            other.copy_(kept);
        }
        _masters?.Refresh();
    }

    private sealed class Turn(WeightAverage average) : IDisposable
    {
        public void Dispose() => average.Swap();
    }
}
