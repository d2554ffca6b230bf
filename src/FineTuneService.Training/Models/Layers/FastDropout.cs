using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// Dropout (Srivastava et al. 2014): a number is 0 with some probability, and what remains is scaled to the same mean. On most CPUs libtorch draws one double after the other for it, on one thread:
/// a fifth of a training step. Here sixteen generators run side by side, so that it costs next to nothing.
/// </summary>
public static class FastDropout
{
    /// <param name="input">Of any shape, as is the result.</param>
    /// <param name="probability">Of a number to become 0.</param>
    public static Tensor Of(Tensor input, double probability, bool training = true) =>
        !training || probability == 0 ? input
        : input.device_type == DeviceType.CPU && probability < 1 && Pattern(input.dtype, 1 / (1 - probability)) is { } kept ? input * Mask(input, probability, kept)
        : nn.functional.dropout(input, probability);

    /// <summary>0 or the scale. Its seed is the host generator's next number, so that a resumed run draws what the first would have drawn.</summary>
    private static Tensor Mask(Tensor like, double probability, Vector512<uint> kept)
    {
        const long Chunk = 1 << 28; // A span has fewer than 2³¹ bytes.
        var mask = like.is_contiguous() ? empty_like(like) : empty(like.shape, like.dtype);
        using var seed = randint(long.MaxValue, [1], dtype: ScalarType.Int64);
        var random = new SixteenXoshiro128(seed.ToInt64());
        if (mask.numel() <= Chunk)
            Fill(mask);
        else
            foreach (var part in mask.view(-1).split(Chunk))
                Fill(part);
        return mask;

        void Fill(Tensor part)
        {
            if (like.element_size() == sizeof(float))
                Write(part.bytes, ref random, Vector512.Create((uint)(probability * uint.MaxValue)), kept);
            else
                Write(part.bytes, ref random, Vector512.Create((ushort)(probability * ushort.MaxValue)), kept);
        }
    }

    private static void Write<T>(Span<byte> mask, ref SixteenXoshiro128 random, Vector512<T> threshold, Vector512<uint> kept)
        where T : unmanaged, INumber<T>
    {
        var whole = MemoryMarshal.Cast<byte, Vector512<uint>>(mask);
        foreach (ref var sixteen in whole)
            sixteen = Draw(ref random);
        var rest = mask[(whole.Length * Vector512<byte>.Count)..];
        MemoryMarshal.AsBytes([Draw(ref random)])[..rest.Length].CopyTo(rest);

        Vector512<uint> Draw(ref SixteenXoshiro128 random) => Vector512.GreaterThanOrEqual(random.Next().As<uint, T>(), threshold).As<T, uint>() & kept;
    }

    /// <summary>The bits of a number, as often as they fit; null: not a type for which there is a mask.</summary>
    private static Vector512<uint>? Pattern(ScalarType type, double number) => type switch
    {
        ScalarType.Float32 => Vector512.Create((float)number).AsUInt32(),
        ScalarType.Float16 => Vector512.Create(BitConverter.HalfToUInt16Bits((Half)number)).AsUInt32(),
        ScalarType.BFloat16 => Vector512.Create((ushort)((BitConverter.SingleToUInt32Bits((float)number) + 0x8000) >> 16)).AsUInt32(),
        _ => null,
    };
}
