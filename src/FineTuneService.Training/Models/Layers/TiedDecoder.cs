using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// Logits of every word, <c>[…, dim] → […, vocabulary]</c>: the word embedding is the weight (Press and Wolf 2017, arXiv:1608.05859) and is stored once;
/// only the bias is the decoder's own.
/// </summary>
public sealed class TiedDecoder : Module<Tensor, Tensor, Tensor>
{
    internal readonly Parameter? bias; // [vocabulary]

    public TiedDecoder(long vocabulary, bool bias = true) : base(nameof(TiedDecoder))
    {
        if (bias)
            this.bias = Parameter(empty(vocabulary));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor wordEmbeddings) => functional.linear(hidden, wordEmbeddings, bias);
}
