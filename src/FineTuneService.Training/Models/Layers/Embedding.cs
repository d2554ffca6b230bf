using FineTuneService.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Rows of a table, <c>[…] → […, dim]</c>. The padding row takes no gradient, as in PyTorch.</summary>
public sealed class Embedding : AdaptableLayer
{
    internal readonly Parameter weight; // [count, dim]

    public Embedding(long count, long dim, int? paddingIndex = null) : base(nameof(Embedding))
    {
        (InFeatures, OutFeatures) = (count, dim);
        weight = Parameter(empty(count, dim));
        PaddingIndex = paddingIndex;
        RegisterComponents();
    }

    public int? PaddingIndex { get; }

    /// <summary>A row is the product of its one-hot vector and the table.</summary>
    public override long InFeatures { get; }

    public override long OutFeatures { get; }

    internal override Tensor Matrix => weight.t();

    internal override Tensor? Bias => null;

    internal override (string A, string B) FactorNames => ("lora_embedding_A", "lora_embedding_B");

    /// <summary>NEFTune's α: while training, uniform noise within ± α / √(seq · dim) on <c>[batch, seq, dim]</c>; 0: none.</summary>
    internal double NoiseAlpha { get; set; }

    internal bool IsNoisy => training && NoiseAlpha != 0;

    protected override Tensor Base(Tensor input)
    {
        var rows = Multiply(input);
        if (!IsNoisy)
            return rows;
        var bound = NoiseAlpha / Math.Sqrt(rows.size(1) * rows.size(2));
        return rows + zeros_like(rows).uniform_(-bound, bound);
    }

    /// <summary>Set while the gradient is wanted by rows.</summary>
    internal RowGradient? Gradient { get; set; }

    internal override Tensor Multiply(Tensor input) =>
        Gradient is { } rows && is_grad_enabled() ? rows.LookUp(input, PaddingIndex) : TorchScript.Embedding(weight, input, PaddingIndex ?? -1);

    internal override Tensor Multiply(Tensor input, Tensor a, Tensor b) => functional.linear(TorchScript.Embedding(a.t(), input, PaddingIndex ?? -1), b);

    internal override Tensor Drop(Tensor input, double dropout) => input;

    /// <summary>As loralib: the first factor 0, the second like a fresh embedding.</summary>
    internal override void Initialize(Tensor a, Tensor b, Generator generator)
    {
        a.zero_();
        b.normal_(0, 1, generator);
    }
}
