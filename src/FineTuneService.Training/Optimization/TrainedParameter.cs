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
    private readonly bool _isCopy, _takesBf16;
    private readonly Embedding? _table;
    private Tensor? _collected;

    /// <param name="table">What the parameter is the table of; null: no table.</param>
    /// <param name="takesAnyForm">Whether the gradient of a table may come by rows, and one in bf16 as it is.</param>
    internal TrainedParameter(string name, Parameter parameter, MasterWeights? masters, double rateScale, Embedding? table, bool takesAnyForm)
    {
        (Name, _parameter, _isCopy, RateScale, _table) = (name, parameter, masters is not null, rateScale, table);
        Weight = masters?.Exact(name, parameter) ?? parameter;
        Decays = parameter.ndim >= 2;
        if (!takesAnyForm)
            return;
        _takesBf16 = _isCopy && HostLoop.IsBf16(parameter);
        if (table is not null && Weight.numel() >= RowGradient.Smallest)
            table.Gradient = Rows = new(parameter);
    }

    public string Name { get; }

    /// <summary>What is updated: the parameter, or the weight that it is a copy of.</summary>
    public Tensor Weight { get; }

    /// <summary>The copy in bf16 that the model computes with, where whoever updates the weight is to make it anew.</summary>
    internal Tensor? Copy => _takesBf16 ? _parameter : null;

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

    /// <summary>After a backward pass: adds the gradient of a shorter type up in full precision, unless it is the only one and may stay as it is, and that of rows.</summary>
    public void Collect()
    {
        if (_isCopy && _parameter.grad is { } gradient)
        {
            if (_collected is null)
                _collected = (_takesBf16 ? gradient.contiguous() : gradient.to(ScalarType.Float32)).DetachFromDisposeScope();
            else
                InFull().add_(gradient);
            _parameter.grad = null;
        }
        Rows?.Collect();
        if (Rows?.Values is not null && Whole is not null)
            Rows.MoveTo(InFull()); // The table has another use, such as the logits of words.
    }

    /// <summary>Makes its gradient one of all numbers in fp32, in whatever form it came.</summary>
    public void Fill()
    {
        if (Whole is not null)
            InFull();
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

    /// <summary>The whole gradient, in fp32.</summary>
    private Tensor InFull()
    {
        if (_collected is { dtype: not ScalarType.Float32 } shorter)
        {
            _collected = shorter.to(ScalarType.Float32).DetachFromDisposeScope();
            shorter.Dispose();
        }
        return Whole!;
    }
}
