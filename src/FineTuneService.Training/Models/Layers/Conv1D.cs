using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>y = x·W + b, <c>[…, in] → […, out]</c>: GPT-2's <see cref="Linear"/>, stored the other way round (OpenAI wrote it as a convolution of width 1).</summary>
public sealed class Conv1D : Module<Tensor, Tensor>
{
    internal readonly Parameter weight; // [in, out]
    internal readonly Parameter bias;   // [out]

    public Conv1D(long inFeatures, long outFeatures) : base(nameof(Conv1D))
    {
        weight = Parameter(empty(inFeatures, outFeatures));
        bias = Parameter(empty(outFeatures));
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => functional.linear(input, weight.t(), bias);
}
