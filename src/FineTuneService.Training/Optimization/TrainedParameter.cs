using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>One parameter that is trained: its weight, its gradient, and what the optimizer remembers of it.</summary>
public sealed class TrainedParameter : IDisposable
{
    private readonly Parameter _parameter;
    private readonly bool _isCopy;
    private readonly Embedding? _table;
    private Tensor? _collected;

    /// <param name="table">What the parameter is the table of; null: no table.</param>
    /// <param name="takesRows">Whether the gradient of a table may come by rows.</param>
    internal TrainedParameter(string name, Parameter parameter, MasterWeights? masters, double rateScale, Embedding? table, bool takesRows)
    {
        (Name, _parameter, _isCopy, RateScale, _table) = (name, parameter, masters is not null, rateScale, table);
        Weight = masters?.Exact(name, parameter) ?? parameter;
        Decays = parameter.ndim >= 2;
        if (takesRows && table is not null && HostLoop.IsPlain(Weight) && Weight.numel() >= RowGradient.Smallest)
            table.Gradient = Rows = new(parameter);
    }

    public string Name { get; }

    /// <summary>What is updated: the parameter, or the weight that it is a copy of.</summary>
    public Tensor Weight { get; }

    /// <summary>Weight decay spares vectors, that is biases and norm weights, as transformers' Trainer does.</summary>
    public bool Decays { get; }

    /// <summary>Its learning rate as a share of the run's.</summary>
    public double RateScale { get; }

    /// <summary>Whether it is looked up, not multiplied by.</summary>
    public bool IsTable => _table is not null;

    /// <summary>Where its gradient comes by rows; it is <see cref="RowGradient.Values"/> then.</summary>
    internal RowGradient? Rows { get; }

    /// <summary>By name, on the weight's device unless the optimizer says otherwise.</summary>
    public Dictionary<string, Tensor> State { get; } = [];

    public Tensor? Gradient
    {
        get => Whole ?? Rows?.Values;
        set
        {
            Rows?.Clear();
            if (!_isCopy)
            {
                _parameter.grad = value;
                return;
            }
            _collected?.Dispose();
            _collected = value;
        }
    }

    /// <summary>After a backward pass: adds the gradient of a shorter type up in full precision, and that of rows.</summary>
    public void Collect()
    {
        if (_isCopy && _parameter.grad is { } gradient)
        {
            if (_collected is null)
                _collected = gradient.to(ScalarType.Float32).DetachFromDisposeScope();
            else
                _collected.add_(gradient);
            _parameter.grad = null;
        }
        Rows?.Collect();
        if (Rows?.Values is not null && Whole is { } whole)
            Rows.MoveTo(whole); // The table has another use, such as the logits of words.
    }

    /// <summary>Makes its gradient one of the whole table, where it came by rows.</summary>
    public void Fill()
    {
        if (Rows?.Values is null)
            return;
        var whole = zeros_like(Weight).DetachFromDisposeScope();
        Rows.MoveTo(whole);
        Gradient = whole;
    }

    public void Dispose()
    {
        foreach (var (_, tensor) in State)
            tensor.Dispose();
        Rows?.Clear();
        if (Rows is not null)
            _table!.Gradient = null;
    }

    private Tensor? Whole => _isCopy ? _collected : _parameter.grad;
}
