using FineTuneService.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Rows of a table, <c>[…] → […, dim]</c>. The padding row takes no gradient, as in PyTorch.</summary>
public sealed class Embedding : Module<Tensor, Tensor>
{
    internal readonly Parameter weight; // [count, dim]

    public Embedding(long count, long dim, int? paddingIndex = null) : base(nameof(Embedding))
    {
        weight = Parameter(empty(count, dim));
        PaddingIndex = paddingIndex;
        RegisterComponents();
    }

    public int? PaddingIndex { get; }

    public override Tensor forward(Tensor ids) => TorchScript.Embedding(weight, ids, PaddingIndex ?? -1);
}
