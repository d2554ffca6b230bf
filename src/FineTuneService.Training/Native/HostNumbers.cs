using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace FineTuneService.Training.Native;

/// <summary>Numbers of a tensor on the host, in fp32 or bf16, to a loop that computes in fp32.</summary>
internal readonly unsafe struct HostNumbers(void* first, bool isBf16 = false)
{
    public float this[long at] => isBf16 ? BitConverter.UInt32BitsToSingle((uint)((ushort*)first)[at] << 16) : ((float*)first)[at];

    /// <param name="tensor">One that <see cref="AreIn"/>; it must live as long as this is used.</param>
    public static HostNumbers Of(Tensor tensor) => new(HostLoop.Address<byte>(tensor), tensor.dtype == ScalarType.BFloat16);

    public static bool AreIn(Tensor tensor) => HostLoop.IsPlain(tensor) || HostLoop.IsBf16(tensor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Load(long at) => isBf16
        ? (Vector512.WidenLower(Vector256.Load((ushort*)first + at).ToVector512Unsafe()) << 16).AsSingle() // bf16 is the upper half of fp32.
        : Vector512.Load((float*)first + at);

    /// <param name="count">Whole vectors.</param>
    public static float LargestMagnitude(float* numbers, int count)
    {
        var largest = Vector512<float>.Zero;
        for (var i = 0; i < count; i += HostLoop.Lanes)
            largest = Vector512.Max(largest, Vector512.Abs(Vector512.Load(numbers + i)));
        var magnitude = 0f;
        for (var i = 0; i < HostLoop.Lanes; i++)
            magnitude = Math.Max(magnitude, largest[i]);
        return magnitude;
    }

    /// <summary>Rounds to the nearest, and to the even one of two, as libtorch does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBf16(Vector512<float> numbers, ushort* target)
    {
        var bits = numbers.AsUInt32();
        var rounded = bits + Vector512.Create(0x7FFFu) + (bits >> 16 & Vector512<uint>.One);
        rounded = Vector512.ConditionalSelect(Vector512.Equals(numbers, numbers).AsUInt32(), rounded, Vector512.Create(0x7FC0_0000u)) >> 16; // Rounded, NaN could become 0.
        Vector256.Narrow(rounded.GetLower(), rounded.GetUpper()).Store(target);
    }
}
