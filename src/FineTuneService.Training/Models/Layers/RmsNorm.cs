using FineTuneService.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Division by the root mean square over the last dimension (Zhang and Sennrich 2019, arXiv:1910.07467).</summary>
public sealed class RmsNorm : Module<Tensor, Tensor>
{
    private readonly double _epsilon;
    internal readonly Parameter weight; // [dim]

    /// <param name="aroundOne">Gemma's way: the weight is what the factor has above 1.</param>
    public RmsNorm(long dim, double epsilon, bool aroundOne = false) : base(nameof(RmsNorm))
    {
        (_epsilon, AroundOne) = (epsilon, aroundOne);
        weight = Parameter(empty(dim));
        RegisterComponents();
    }

    public bool AroundOne { get; }

    public override Tensor forward(Tensor input) => TorchScript.RmsNorm(input, AroundOne ? weight + 1 : weight, _epsilon);
}
