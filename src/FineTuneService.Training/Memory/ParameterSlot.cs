using FineTuneService.Contracts;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Optimization;

namespace FineTuneService.Training.Memory;

/// <summary>What a parameter belongs to.</summary>
internal enum SlotKind
{
    /// <summary>A matrix that a method may adapt, and pack in four bits.</summary>
    Linear,
    Embedding,

    /// <summary>A bias, or the weight of a norm.</summary>
    Vector,

    /// <summary>One of the small matrices of an adapter.</summary>
    Factor,
}

/// <summary>A parameter without its numbers.</summary>
internal sealed class ParameterSlot(string name, IReadOnlyList<long> shape, SlotKind kind)
{
    public string Name => name;

    public IReadOnlyList<long> Shape => shape;

    public SlotKind Kind => kind;

    public long Count { get; } = shape.Aggregate(1L, (product, size) => product * size);

    public bool IsTrained { get; set; }

    public bool IsQuantized { get; set; }

    /// <summary>Of a table: whether all of it is an operand somewhere, besides the rows that are looked up.</summary>
    public bool IsReadWhole { get; set; }

    /// <summary>Whether its gradient comes by rows, see <see cref="RowGradient"/>.</summary>
    public bool ComesByRows { get; set; }

    /// <summary>Elements of its gradient, after so many tokens.</summary>
    public long GradientCount(long tokens) => ComesByRows && !IsReadWhole ? Math.Min(Count, tokens * Shape[^1]) : Count;

    /// <summary>Bytes of the weight in four bits, see <see cref="Nf4Matrix"/>.</summary>
    public long PackedBytes(bool doubleQuant)
    {
        var blocks = (Count + Nf4Matrix.BlockSize - 1) / Nf4Matrix.BlockSize;
        const int PairsTable = 256 * 2 * sizeof(float), MapTable = 256 * sizeof(float);
        return (Count + 1) / 2 + PairsTable + (doubleQuant ? blocks + (blocks + Nf4Matrix.NestedBlockSize - 1) / Nf4Matrix.NestedBlockSize * sizeof(float) + MapTable : blocks * sizeof(float));
    }

    /// <summary>Bytes that an optimizer remembers of it from step to step.</summary>
    public long StateBytes(TrainingArguments training) => training.Optim switch
    {
        OptimizerName.Sgd => SgdOptions.Parse(training.OptimArgs).Momentum == 0 ? 0 : 4 * Count,
        OptimizerName.Adafactor => 4 * (Shape.Count < 2 ? Count : Count / Shape[^1] + Count / Shape[^2]),
        var name when IsIn8Bits(name) => 2 * Count + 2 * sizeof(float) * DynamicMap.Blocks(Count),
        _ => 8 * Count,
    };

    /// <summary>Bytes that the optimizer needs while it takes this parameter's step.</summary>
    public long UpdateBytes(TrainingArguments training, bool isOnHost) => training.Optim switch
    {
        OptimizerName.Sgd => (training.WeightDecay == 0 || Shape.Count < 2 ? 0 : 4 * Count) + (SgdOptions.Parse(training.OptimArgs).Nesterov ? 4 * Count : 0),
        OptimizerName.Adafactor => 8 * Count,
        var name when IsIn8Bits(name) && !isOnHost => BytesOf8BitStep * Count,
        _ => 0,
    };

    /// <summary>Elsewhere than on the host, of an element: both means unpacked (codes as int32, magnitudes and values in fp32), and packed again (padded, absolute, scaled, codes as int32 and as bytes).</summary>
    private const int BytesOf8BitStep = 2 * 12 + 2 * 17;

    private bool IsIn8Bits(OptimizerName name) =>
        name is OptimizerName.Adamw8bit or OptimizerName.AdamwBnb8bit or OptimizerName.PagedAdamw8bit && Count >= AdamW8bit.Smallest && Kind != SlotKind.Embedding;
}
