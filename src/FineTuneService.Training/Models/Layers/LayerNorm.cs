using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Layer normalisation over the last dimension (Ba et al. 2016, arXiv:1607.06450).</summary>
public sealed class LayerNorm : Module<Tensor, Tensor>
{
    private readonly double _epsilon;
    internal readonly Parameter weight; // [dim]
    internal readonly Parameter? bias;  // [dim]

    public LayerNorm(long dim, double epsilon, bool bias = true) : base(nameof(LayerNorm))
    {
        _epsilon = epsilon;
        weight = Parameter(empty(dim));
        if (bias)
            this.bias = Parameter(empty(dim));
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => functional.layer_norm(input, weight.shape, weight, bias, _epsilon);
}
