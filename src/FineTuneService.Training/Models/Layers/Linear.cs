using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>y = x·Wᵀ + b, <c>[…, in] → […, out]</c>. Weights start empty, see <see cref="PretrainedModel.InitializeWeights"/>.</summary>
public sealed class Linear : AdaptableLayer
{
    internal readonly Parameter weight; // [out, in]
    internal readonly Parameter? bias;  // [out]

    public Linear(long inFeatures, long outFeatures, bool bias = true) : base(nameof(Linear))
    {
        (InFeatures, OutFeatures) = (inFeatures, outFeatures);
        weight = Parameter(empty(outFeatures, inFeatures));
        if (bias)
            this.bias = Parameter(empty(outFeatures));
        RegisterComponents();
    }

    public override long InFeatures { get; }

    public override long OutFeatures { get; }

    internal override Tensor Matrix => Quantized?.Dequantize() ?? weight;

    internal override Tensor? Bias => bias;

    public override bool CanQuantize => true;

    protected override Tensor Base(Tensor input)
    {
        if (Quantized is null)
            return functional.linear(input, weight, bias);
        var product = Multiply(input);
        return bias is null ? product : product + bias;
    }

    internal override Tensor Multiply(Tensor input) => Quantized?.Multiply(input, ComputeType ?? input.dtype) ?? functional.linear(input, weight);
}
