using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>y = x·Wᵀ + b, <c>[…, in] → […, out]</c>. The leaf that methods replace or extend; weights start empty, see <see cref="PretrainedModel.InitializeWeights"/>.</summary>
public sealed class Linear : Module<Tensor, Tensor>
{
    internal readonly Parameter weight; // [out, in]
    internal readonly Parameter? bias;  // [out]

    public Linear(long inFeatures, long outFeatures, bool bias = true) : base(nameof(Linear))
    {
        weight = Parameter(empty(outFeatures, inFeatures));
        if (bias)
            this.bias = Parameter(empty(outFeatures));
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => functional.linear(input, weight, bias);
}
