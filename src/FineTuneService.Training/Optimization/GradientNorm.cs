using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>L2 norm over all gradients together, a scalar on their device. On the host libtorch takes a tensor's norm on one thread; here all do, and the sum is the same for any number of them.</summary>
internal static unsafe class GradientNorm
{
    public static Tensor Of(Tensor[] gradients) => gradients.All(HostLoop.IsPlain) ? tensor((float)Math.Sqrt(SquareSum(gradients))) : TorchScript.GlobalNorm(gradients);

    private static double SquareSum(Tensor[] gradients)
    {
        Span<long> counts = stackalloc long[gradients.Length];
        var blocks = 0;
        for (var i = 0; i < gradients.Length; i++)
            blocks += HostLoop.Blocks(counts[i] = gradients[i].numel());
        var addresses = ArrayPool<nint>.Shared.Rent(gradients.Length);
        var sums = ArrayPool<double>.Shared.Rent(blocks);
        for (var i = 0; i < gradients.Length; i++)
            addresses[i] = (nint)HostLoop.Address<float>(gradients[i]);
        fixed (nint* address = addresses)
        fixed (double* sum = sums)
        {
            var work = new Work { Gradients = (float**)address, Sums = sum };
            HostLoop.Run(counts, &AddSquares, &work);
        }
        var total = 0.0;
        foreach (var sum in sums.AsSpan(0, blocks))
            total += sum;
        ArrayPool<nint>.Shared.Return(addresses);
        ArrayPool<double>.Shared.Return(sums);
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddSquares(void* data, int tensor, int block, long from, int count)
    {
        const int Lanes = HostLoop.Lanes;
        var work = (Work*)data;
        var numbers = work->Gradients[tensor] + from;
        Vector512<float> first = default, second = default, third = default, fourth = default;
        var i = 0;
        for (; i <= count - (4 * Lanes); i += 4 * Lanes)
        {
            first = AddSquare(numbers + i, first);
            second = AddSquare(numbers + i + Lanes, second);
            third = AddSquare(numbers + i + (2 * Lanes), third);
            fourth = AddSquare(numbers + i + (3 * Lanes), fourth);
        }
        double sum = Vector512.Sum(first + second + (third + fourth));
        for (; i < count; i++)
            sum += (double)numbers[i] * numbers[i];
        work->Sums[block] = sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> AddSquare(float* numbers, Vector512<float> sum)
    {
        var next = Vector512.Load(numbers);
        return Vector512.FusedMultiplyAdd(next, next, sum);
    }

    private struct Work
    {
        public float** Gradients;
        public double* Sums;
    }
}
