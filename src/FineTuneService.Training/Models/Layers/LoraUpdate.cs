using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>One of the small matrices of an update; registered in its layer, so that its key is PEFT's.</summary>
public sealed class LoraFactor : Module
{
    internal readonly Parameter weight;

    public LoraFactor(long rows, long columns, Device device) : base(nameof(LoraFactor))
    {
        weight = Parameter(empty(rows, columns, device: device));
        RegisterComponents();
    }
}

/// <summary>
/// y += scaling · B·A·x (LoRA, Hu et al. 2021, arXiv:2106.09685); with a magnitude, the columns of W + scaling · B·A
/// are brought to learnt lengths (DoRA, Liu et al. 2024, arXiv:2402.09353). Computed in PEFT's order.
/// </summary>
public sealed class LoraUpdate
{
    public const string Magnitude = "lora_magnitude_vector";

    private readonly AdaptableLayer _layer;
    private readonly double _scaling, _dropout;
    private readonly LoraFactor _a, _b; // [r, in], [out, r]

    /// <summary><c>[1, out]</c> as in the paper, where it is a matrix of one row: so weight decay takes it, as with transformers' Trainer.</summary>
    private readonly LoraFactor? _magnitude;

    /// <summary>While merged with a magnitude: what each row of the matrix was multiplied with, <c>[out, 1]</c>.</summary>
    private Tensor? _mergedScale;

    internal LoraUpdate(AdaptableLayer layer, int rank, double scaling, double dropout, bool dora, Generator generator)
    {
        using var _ = no_grad();
        (_layer, _scaling, _dropout) = (layer, scaling, dropout);
        var device = layer.Quantized?.Device ?? layer.Matrix.device;
        (_a, _b) = (new(rank, layer.InFeatures, device), new(layer.OutFeatures, rank, device));
        layer.Initialize(_a.weight, _b.weight, generator);
        if (!dora)
            return;
        _magnitude = new(1, layer.OutFeatures, device);
        using var scope = NewDisposeScope(); // The norm's matrices would add up over the layers.
        _magnitude.weight.copy_(Norm());
    }

    /// <summary>False while the layer computes as if it had no update.</summary>
    public bool IsEnabled { get; set; } = true;

    public bool IsMerged { get; private set; }

    internal IEnumerable<(string Name, LoraFactor Factor)> Factors
    {
        get
        {
            var (a, b) = _layer.FactorNames;
            yield return (a, _a);
            yield return (b, _b);
            if (_magnitude is not null)
                yield return (Magnitude, _magnitude);
        }
    }

    internal Tensor AddTo(Tensor result, Tensor input)
    {
        if (IsMerged)
            return result;
        var dropped = _layer.Drop(input, _dropout);
        var update = _layer.Multiply(dropped, _a.weight, _b.weight) * _scaling;
        if (_magnitude is null)
            return result + update;
        var isDropping = _dropout > 0 && _layer.training;
        var plain = isDropping ? _layer.Multiply(dropped) : _layer.Bias is { } bias ? result - bias : result;
        var scale = _magnitude.weight / Norm(); // Section 4.3 of the paper: the norm counts as a constant.
        return (result + (scale - 1) * plain + scale * update).to(result.dtype);
    }

    /// <summary>Brings the update into the weight, in place.</summary>
    public void Merge()
    {
        if (IsMerged)
            return;
        if (_layer.Quantized is not null)
            throw new InvalidOperationException("Merging into four bits would round the update away: merge into the unquantised base.");
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        if (_magnitude is not null)
            _mergedScale = (_magnitude.weight / Norm()).t().DetachFromDisposeScope();
        _layer.Matrix.add_(Delta());
        if (_mergedScale is not null)
            _layer.Matrix.mul_(_mergedScale);
        IsMerged = true;
    }

    /// <summary>Takes the update out of the weight again, to rounding.</summary>
    public void Unmerge()
    {
        if (!IsMerged)
            return;
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        if (_mergedScale is not null)
            _layer.Matrix.div_(_mergedScale);
        _layer.Matrix.sub_(Delta());
        _mergedScale?.Dispose();
        _mergedScale = null;
        IsMerged = false;
    }

    /// <summary><c>[out, in]</c>.</summary>
    private Tensor Delta() => _b.weight.matmul(_a.weight) * _scaling;

    /// <summary>Length of each output's weights in W + scaling · B·A, <c>[1, out]</c>; without gradient.</summary>
    private Tensor Norm()
    {
        using var _ = no_grad();
        return linalg.norm(_layer.Matrix + Delta(), dims: [1L]).unsqueeze(0);
    }
}
