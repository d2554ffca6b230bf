using FineTuneService.Training.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>One parameter that is trained: its weight, its gradient, and what the optimizer remembers of it.</summary>
public sealed class TrainedParameter(string name, Parameter parameter, MasterWeights? masters, double rateScale)
{
    private Tensor? _collected;

    public string Name => name;

    /// <summary>What is updated: the parameter, or the weight that it is a copy of.</summary>
    public Tensor Weight { get; } = masters?.Exact(name, parameter) ?? parameter;

    /// <summary>Weight decay spares vectors, that is biases and norm weights, as transformers' Trainer does.</summary>
    public bool Decays { get; } = parameter.ndim >= 2;

    /// <summary>Its learning rate as a share of the run's.</summary>
    public double RateScale => rateScale;

    /// <summary>By name, on the weight's device unless the optimizer says otherwise.</summary>
    public Dictionary<string, Tensor> State { get; } = [];

    public Tensor? Gradient
    {
        get => masters is null ? parameter.grad : _collected;
        set
        {
            if (masters is null)
            {
                parameter.grad = value;
                return;
            }
            _collected?.Dispose();
            _collected = value;
        }
    }

    /// <summary>Adds the gradient of a shorter type up in full precision.</summary>
    public void Collect()
    {
        if (parameter.grad is not { } gradient)
            return;
        if (_collected is null)
            _collected = gradient.to(ScalarType.Float32).DetachFromDisposeScope();
        else
            _collected.add_(gradient);
        parameter.grad = null;
    }
}
