using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>Packs and unpacks an <see cref="Nf4Matrix"/> on the host: a block in a processor's registers, where tensors would take several passes over memory, and a search for each code.</summary>
internal static unsafe class Nf4Loop
{
    private const int Lanes = HostLoop.Lanes, BlockSize = Nf4Matrix.BlockSize;

    /// <param name="packed">u8, two values in each.</param>
    /// <param name="magnitudes">fp32, of the blocks.</param>
    /// <param name="pairs"><c>[256, 2]</c>, fp32: both values of a byte.</param>
    /// <param name="values">Where they go, in fp32 or bf16.</param>
    public static void Dequantize(Tensor packed, Tensor magnitudes, Tensor pairs, Tensor values)
    {
        var work = new Unpacking
        {
            Packed = HostLoop.Address<byte>(packed),
            Magnitudes = HostLoop.Address<float>(magnitudes),
            Pairs = HostLoop.Address<ulong>(pairs),
            Values = HostLoop.Address<byte>(values),
            IsBf16 = HostLoop.IsBf16(values),
        };
        HostLoop.Run([values.numel()], &Unpack, &work);
    }

    /// <param name="values">fp32; they begin with a block.</param>
    /// <param name="packed">Where their codes go, two in each byte.</param>
    /// <param name="magnitudes">Where the blocks' largest magnitudes go.</param>
    public static void Quantize(Tensor values, Tensor packed, Tensor magnitudes)
    {
        var work = new Packing { Values = HostLoop.Address<float>(values), Packed = HostLoop.Address<byte>(packed), Magnitudes = HostLoop.Address<float>(magnitudes) };
        for (var code = 0; code < 15; code++)
            work.Midpoints[code] = (Nf4Codes.NormalFloat[code] + Nf4Codes.NormalFloat[code + 1]) / 2;
        HostLoop.Run([values.numel()], &Pack, &work);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Unpack(void* data, int tensor, int block, long from, int count)
    {
        var work = (Unpacking*)data;
        var pairs = stackalloc ulong[BlockSize / 2];
        var values = (float*)pairs;
        var shorter = stackalloc ushort[BlockSize];
        for (long at = from, end = from + count; at < end; at += BlockSize)
        {
            var some = (int)Math.Min(BlockSize, end - at);
            var packed = work->Packed + (at / 2);
            for (var i = 0; i < (some + 1) / 2; i++)
                pairs[i] = work->Pairs[packed[i]];
            var magnitude = Vector512.Create(work->Magnitudes[at / BlockSize]);
            for (var i = 0; i < BlockSize; i += Lanes)
            {
                var scaled = Vector512.Load(values + i) * magnitude;
                if (work->IsBf16)
                    HostNumbers.StoreBf16(scaled, shorter + i);
                else
                    scaled.Store(values + i);
            }
            if (work->IsBf16)
                Unsafe.CopyBlockUnaligned((ushort*)work->Values + at, shorter, (uint)(some * sizeof(ushort)));
            else
                Unsafe.CopyBlockUnaligned((float*)work->Values + at, values, (uint)(some * sizeof(float)));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pack(void* data, int tensor, int block, long from, int count)
    {
        var work = (Packing*)data;
        float* values = stackalloc float[BlockSize];
        var codes = stackalloc int[BlockSize];
        for (long at = from, end = from + count; at < end; at += BlockSize)
        {
            var some = (int)Math.Min(BlockSize, end - at);
            for (var i = some; i < BlockSize; i++)
                values[i] = 0;
            Unsafe.CopyBlockUnaligned(values, work->Values + at, (uint)(some * sizeof(float)));
            var magnitude = work->Magnitudes[at / BlockSize] = HostNumbers.LargestMagnitude(values, BlockSize);
            var factor = Vector512.Create(1 / Math.Max(magnitude, Nf4Codes.LeastMagnitude));
            for (var i = 0; i < BlockSize; i += Lanes)
            {
                var scaled = Vector512.Load(values + i) * factor;
                var code = Vector512<int>.Zero; // how many midpoints are less
                for (var k = 0; k < 15; k++)
                    code -= Vector512.GreaterThan(scaled, Vector512.Create(work->Midpoints[k])).AsInt32();
                code.Store(codes + i);
            }
            for (var i = 0; i < some; i += 2)
                work->Packed[(at + i) / 2] = (byte)((codes[i] << 4) | codes[i + 1]);
        }
    }

    private struct Unpacking
    {
        public byte* Packed, Values;
        public float* Magnitudes;
        public ulong* Pairs;
        public bool IsBf16;
    }

    private struct Packing
    {
        public float* Values, Magnitudes;
        public byte* Packed;
        public fixed float Midpoints[15];
    }
}
