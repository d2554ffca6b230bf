using FineTuneService.Training.Native;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// A frozen matrix in 4-bit NormalFloat (Dettmers et al. 2023, QLoRA, arXiv:2305.14314): blocks of 64 values, each value the nearest of 16 times the block's
/// largest magnitude. With double quantisation these magnitudes are 8-bit numbers themselves, in blocks of 256 around their mean: 4.127 bits a value in all.
/// Tensors and arithmetic are those of bitsandbytes, so that its files can be read and written (docs/nf4.md).
/// </summary>
public sealed class Nf4Matrix : Module
{
    public const int BlockSize = 64, NestedBlockSize = 256;

    // Names of bitsandbytes, buffers here: they move with the model and are no parameters.
    private const string Packed = "packed", Absmax = "absmax", NestedAbsmax = "nested_absmax", Pairs = "pairs", NestedQuantMap = "nested_quant_map";

    /// <summary>Elements that are packed or unpacked at a time, so that what is needed besides stays small: in a processor's cache, at best.</summary>
    private const long Chunk = 1 << 20;

    /// <summary>Elements of a matrix with which it is worth a look.</summary>
    private const long Large = 1 << 24;

    internal Nf4Matrix(long[] shape, Tensor packed, Tensor absmax, Tensor? nestedAbsmax = null, float nestedOffset = 0) : base(nameof(Nf4Matrix))
    {
        (Shape, NestedOffset) = (shape, nestedOffset);
        Keep(Packed, packed);     // u8 [(out · in + 1) / 2], the first of a pair in the high nibble
        Keep(Absmax, absmax);     // f32 [blocks], or u8 codes
        Keep(Pairs, PairsOfCodes().to(packed.device)); // [256, 2]: both values of a byte
        if (nestedAbsmax is not null)
        {
            Keep(NestedAbsmax, nestedAbsmax); // f32 [⌈blocks / 256⌉]
            Keep(NestedQuantMap, tensor(Nf4Codes.Dynamic).to(packed.device));
        }
        RegisterComponents();
    }

    /// <summary><c>[out, in]</c>.</summary>
    public long[] Shape { get; }

    public long Count => Shape[0] * Shape[1];

    public Device Device => get_buffer(Packed)!.device;

    /// <summary>Bytes of the values and of what scales them; the tables come to 3 KB besides.</summary>
    public long Bytes => Stored.Sum(tensor => tensor.numel() * tensor.element_size());

    public bool IsNested => Stored.Count() == 3;

    /// <summary>The mean of the blocks' magnitudes, which their codes are relative to.</summary>
    public float NestedOffset { get; }

    /// <summary>Values, magnitudes, and magnitudes' magnitudes.</summary>
    internal IEnumerable<Tensor> Stored => from name in new[] { Packed, Absmax, NestedAbsmax } let tensor = get_buffer(name) where tensor is not null select tensor;

    /// <param name="matrix"><c>[out, in]</c>, of any floating type.</param>
    /// <param name="device">Where the result lives.</param>
    public static Nf4Matrix Quantize(Tensor matrix, bool doubleQuant, Device? device = null)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        device ??= matrix.device;
        var flat = matrix.reshape(-1);
        var count = flat.numel();
        var packed = empty((count + 1) / 2, ScalarType.Byte, device);
        var absmax = empty((count + BlockSize - 1) / BlockSize, ScalarType.Float32, device);
        using var midpoints = Midpoints(Nf4Codes.NormalFloat).to(device);
        for (long start = 0; start < count; start += Chunk)
        {
            using var inner = NewDisposeScope();
            var length = Math.Min(Chunk, count - start);
            var values = flat.narrow(0, start, length).to(device).to(ScalarType.Float32);
            var (bytes, magnitudes) = (packed.narrow(0, start / 2, (length + 1) / 2), absmax.narrow(0, start / BlockSize, (length + BlockSize - 1) / BlockSize));
            if (HostLoop.IsPlain(values))
            {
                Nf4Loop.Quantize(values, bytes, magnitudes);
                continue;
            }
            var blocks = functional.pad(values, [0, -length & (BlockSize - 1)]).view(-1, BlockSize);
            magnitudes.copy_(blocks.abs().amax([1]));
            var codes = bucketize(blocks * (1 / magnitudes.clamp_min(Nf4Codes.LeastMagnitude)).unsqueeze(1), midpoints, outInt32: true).to(ScalarType.Byte).view(-1, 2);
            bytes.copy_((codes.select(1, 0) * 16 + codes.select(1, 1)).narrow(0, 0, (length + 1) / 2));
        }
        if (!doubleQuant)
            return new(matrix.shape, packed, absmax);
        var offset = absmax.mean();
        var (nestedCodes, nestedAbsmax) = QuantizeMagnitudes(absmax - offset);
        return new(matrix.shape, packed, nestedCodes, nestedAbsmax, offset.ToSingle());
    }

    /// <summary>What scales the values keeps its type, whatever the model computes in.</summary>
    protected override Module _to(ScalarType dtype, bool non_blocking) => this;

    /// <summary>x·Wᵀ. The matrix is unpacked for the product and again for its gradient: in between only the packed one exists.</summary>
    /// <param name="computeType">Type of the product; the result has the input's.</param>
    public Tensor Multiply(Tensor input, ScalarType computeType) =>
        input.requires_grad && is_grad_enabled() ? BackwardPass.Apply(() => Product.apply(input, this, computeType)) : Forward(input, computeType);

    /// <summary><c>[out, in]</c>.</summary>
    public Tensor Dequantize(ScalarType type = ScalarType.Float32)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        Tensor packed = get_buffer(Packed)!, pairs = get_buffer(Pairs)!, magnitudes = Magnitudes();
        var values = empty(Count, type, Device);
        if (HostNumbers.AreIn(values))
        {
            Nf4Loop.Dequantize(packed, magnitudes, pairs, values);
            return values.view(Shape).MoveToOuterDisposeScope();
        }
        for (long start = 0; start < Count; start += Chunk)
        {
            using var inner = NewDisposeScope();
            var length = Math.Min(Chunk, Count - start);
            var blocks = (length + BlockSize - 1) / BlockSize;
            var chunk = pairs.index_select(0, packed.narrow(0, start / 2, (length + 1) / 2).to(ScalarType.Int32)).view(-1); // f32
            var scales = magnitudes.narrow(0, start / BlockSize, blocks);
            if (length % BlockSize == 0)
                chunk.view(-1, BlockSize).mul_(scales.unsqueeze(1));
            else
                chunk = chunk.narrow(0, 0, length).mul_(scales.repeat_interleave(BlockSize).narrow(0, 0, length));
            values.narrow(0, start, length).copy_(chunk);
        }
        return values.view(Shape).MoveToOuterDisposeScope();
    }

    private Tensor Magnitudes()
    {
        if (!IsNested)
            return get_buffer(Absmax)!;
        var codes = get_buffer(NestedQuantMap)!.index_select(0, get_buffer(Absmax)!.to(ScalarType.Int32));
        return codes * get_buffer(NestedAbsmax)!.repeat_interleave(NestedBlockSize).narrow(0, 0, codes.numel()) + NestedOffset;
    }

    private Tensor Forward(Tensor input, ScalarType computeType)
    {
        using (var scope = NewDisposeScope())
            input = functional.linear(input.to(computeType), Dequantize(computeType)).to(input.dtype).MoveToOuterDisposeScope();
        GiveBack();
        return input;
    }

    /// <summary>Blocks of many sizes, kept in case they fit again, would add up to half of a large model.</summary>
    private void GiveBack()
    {
        if (Count >= Large && Device.type == DeviceType.CPU)
            HostMemory.GiveBack(above: 1 << 30);
    }

    /// <summary>bitsandbytes' <c>quantize_blockwise</c> with its dynamic map.</summary>
    private static (Tensor Codes, Tensor Absmax) QuantizeMagnitudes(Tensor values)
    {
        var count = values.numel();
        var blocks = functional.pad(values, [0, -count & (NestedBlockSize - 1)]).view(-1, NestedBlockSize);
        var largest = blocks.abs().amax([1]);
        var codes = bucketize(blocks * (1 / largest.clamp_min(Nf4Codes.LeastMagnitude)).unsqueeze(1), Midpoints(Nf4Codes.Dynamic).to(values.device), outInt32: true);
        return (codes.to(ScalarType.Byte).view(-1).narrow(0, 0, count).clone(), largest);
    }

    private static Tensor Midpoints(float[] codes) => tensor(codes.Zip(codes.Skip(1), (low, high) => (low + high) / 2).ToArray());

    private static Tensor PairsOfCodes() =>
        tensor(Enumerable.Range(0, 256).SelectMany(pair => new[] { Nf4Codes.NormalFloat[pair >> 4], Nf4Codes.NormalFloat[pair & 15] }).ToArray()).view(256, 2);

    private void Keep(string name, Tensor tensor) => register_buffer(name, tensor.DetachFromDisposeScope(), persistent: false);

    private sealed class Product : autograd.SingleTensorFunction<Product>
    {
        public override string Name => nameof(Nf4Matrix);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            var (input, matrix, computeType) = ((Tensor)vars[0], (Nf4Matrix)vars[1], (ScalarType)vars[2]);
            ctx.save_data(nameof(matrix), matrix);
            ctx.save_data(nameof(computeType), computeType);
            ctx.set_materialize_grads(false);
            return matrix.Forward(input, computeType);
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => BackwardPass.Gradients(inputs: 3, grad_output, () =>
        {
            var (matrix, computeType) = ((Nf4Matrix)ctx.get_data("matrix"), (ScalarType)ctx.get_data("computeType"));
            using var scope = NewDisposeScope();
            var gradient = grad_output.to(computeType).matmul(matrix.Dequantize(computeType)).to(grad_output.dtype).MoveToOuterDisposeScope();
            matrix.GiveBack();
            return [gradient, null!, null!];
        });
    }
}
