using FineTuneService.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Activation functions by the names that config.json uses.</summary>
public static class Activations
{
    /// <exception cref="FaultException">When the name is unknown.</exception>
    public static Func<Tensor, Tensor> Named(string name) => name switch
    {
        "gelu" or "gelu_python" => Gelu.Of,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => x => functional.gelu(x, TorchSharp.Modules.GELU.Approximate.tanh),
        "relu" => x => functional.relu(x),
        "silu" or "swish" => x => functional.silu(x),
        "tanh" => tanh,
        _ => throw new FaultException("config.json", name, "This activation function is not known here.", "Known: gelu, gelu_new, gelu_pytorch_tanh, relu, silu, tanh."),
    };
}
