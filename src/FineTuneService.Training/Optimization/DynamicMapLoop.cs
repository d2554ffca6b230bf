using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Native;

namespace FineTuneService.Training.Optimization;

/// <summary><see cref="DynamicMap"/> for loops over numbers on the host: a block at a time, and no tensor.</summary>
internal sealed unsafe class DynamicMapLoop
{
    private const int Lanes = HostLoop.Lanes;

    private readonly float* _values, _midpoints;
    private readonly byte* _firstCodes;

    private DynamicMapLoop(DynamicMap map)
    {
        _values = Pinned([.. map.Values]);
        _midpoints = Pinned([.. map.Midpoints, float.PositiveInfinity]);
        // By the upper half of a number's bits: the code of the least such number. The values lie further apart than such numbers, so that the code of each of them is this one or the next.
        float[] midpoints = [.. map.Midpoints];
        _firstCodes = Pinned([.. Enumerable.Range(0, 1 << 16).Select(upper => Array.BinarySearch(midpoints, Least(upper))).Select(at => (byte)(at < 0 ? ~at : at))]);
    }

    public static DynamicMapLoop Signed { get; } = new(DynamicMap.Signed);

    public static DynamicMapLoop Unsigned { get; } = new(DynamicMap.Unsigned);

    /// <param name="magnitude">Of the block.</param>
    /// <param name="count">Numbers, of one block.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dequantize(byte* codes, float magnitude, float* numbers, int count)
    {
        for (var i = 0; i < count; i++)
            numbers[i] = _values[codes[i]] * magnitude;
    }

    /// <param name="numbers">Of one block, with room for a whole one; they are overwritten.</param>
    /// <returns>The block's magnitude.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public float Quantize(float* numbers, byte* codes, int count)
    {
        for (var i = count; i < DynamicMap.BlockSize; i++)
            numbers[i] = 0;
        var magnitude = HostNumbers.LargestMagnitude(numbers, DynamicMap.BlockSize);
        var divisor = Vector512.Create(Math.Max(magnitude, Nf4Codes.LeastMagnitude));
        for (var i = 0; i < DynamicMap.BlockSize; i += Lanes)
            (Vector512.Load(numbers + i) / divisor).Store(numbers + i);
        for (var i = 0; i < count; i++)
        {
            int code = _firstCodes[((ushort*)(numbers + i))[1]];
            codes[i] = (byte)(numbers[i] > _midpoints[code] ? code + 1 : code);
        }
        return magnitude;
    }

    private static float Least(int upper) => BitConverter.Int32BitsToSingle((upper << 16) | (upper < 1 << 15 ? 0 : 0xFFFF)); // Of negative numbers, the one with the largest magnitude.

    private static T* Pinned<T>(T[] numbers) where T : unmanaged
    {
        var pinned = (T*)NativeMemory.Alloc((nuint)(numbers.Length * sizeof(T))); // for as long as the process
        numbers.CopyTo(new Span<T>(pinned, numbers.Length));
        return pinned;
    }
}
