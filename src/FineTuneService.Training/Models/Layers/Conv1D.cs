using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>y = x·W + b, <c>[…, in] → […, out]</c>: GPT-2's <see cref="Linear"/>, stored the other way round (OpenAI wrote it as a convolution of width 1).</summary>
public sealed class Conv1D : AdaptableLayer
{
    internal readonly Parameter weight; // [in, out]
    internal readonly Parameter bias;   // [out]

    public Conv1D(long inFeatures, long outFeatures) : base(nameof(Conv1D))
    {
        (InFeatures, OutFeatures) = (inFeatures, outFeatures);
        weight = Parameter(empty(inFeatures, outFeatures));
        bias = Parameter(empty(outFeatures));
        RegisterComponents();
    }

    public override long InFeatures { get; }

    public override long OutFeatures { get; }

    internal override Tensor Matrix => Quantized?.Dequantize() ?? weight.t();

    internal override Tensor? Bias => bias;

    internal override bool IsStoredInByOut => true;

    public override bool CanQuantize => true;

    protected override Tensor Base(Tensor input) => Quantized is null ? functional.linear(input, weight.t(), bias) : Multiply(input) + bias;

    internal override Tensor Multiply(Tensor input) => Quantized?.Multiply(input, ComputeType ?? input.dtype) ?? functional.linear(input, weight.t());
}
