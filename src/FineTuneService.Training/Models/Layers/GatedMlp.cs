using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>The gated feed-forward half of a layer (SwiGLU and its kin; Shazeer 2020, arXiv:2002.05202), <c>[…, hidden] → […, hidden]</c>.</summary>
internal sealed class GatedMlp : Module<Tensor, Tensor>
{
    private readonly Linear gate_proj, up_proj, down_proj;
    private readonly Func<Tensor, Tensor> _activation;

    public GatedMlp(long hidden, long intermediate, string activation, bool bias = false) : base(nameof(GatedMlp))
    {
        (gate_proj, up_proj, down_proj) = (new(hidden, intermediate, bias), new(hidden, intermediate, bias), new(intermediate, hidden, bias));
        _activation = Activations.Named(activation);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => down_proj.call(_activation(gate_proj.call(hidden)) * up_proj.call(hidden));
}
