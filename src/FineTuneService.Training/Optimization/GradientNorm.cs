using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>L2 norm over all gradients together, a scalar on their device. On the host libtorch takes a tensor's norm on one thread; here all do, and the sum is the same for any number of them.</summary>
internal static unsafe class GradientNorm
{
    public static Tensor Of(Tensor[] gradients) => gradients.All(HostNumbers.AreIn) ? tensor((float)Math.Sqrt(SquareSum(gradients))) : TorchScript.GlobalNorm(gradients);

    private static double SquareSum(Tensor[] gradients)
    {
        Span<long> counts = stackalloc long[gradients.Length];
        var blocks = 0;
        for (var i = 0; i < gradients.Length; i++)
            blocks += HostLoop.Blocks(counts[i] = gradients[i].numel());
        var numbers = ArrayPool<HostNumbers>.Shared.Rent(gradients.Length);
        var sums = ArrayPool<double>.Shared.Rent(blocks);
        for (var i = 0; i < gradients.Length; i++)
            numbers[i] = HostNumbers.Of(gradients[i]);
        fixed (HostNumbers* first = numbers)
        fixed (double* sum = sums)
        {
            var work = new Work { Gradients = first, Sums = sum };
            HostLoop.Run(counts, &AddSquares, &work);
        }
        var total = 0.0;
        foreach (var sum in sums.AsSpan(0, blocks))
            total += sum;
        ArrayPool<HostNumbers>.Shared.Return(numbers);
        ArrayPool<double>.Shared.Return(sums);
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddSquares(void* data, int tensor, int block, long from, int count)
    {
        const int Lanes = HostLoop.Lanes;
        var work = (Work*)data;
        ref var gradient = ref work->Gradients[tensor];
        Vector512<float> first = default, second = default, third = default, fourth = default;
        var at = from;
        for (var last = from + count - (4 * Lanes); at <= last; at += 4 * Lanes)
        {
            first = AddSquare(gradient.Load(at), first);
            second = AddSquare(gradient.Load(at + Lanes), second);
            third = AddSquare(gradient.Load(at + (2 * Lanes)), third);
            fourth = AddSquare(gradient.Load(at + (3 * Lanes)), fourth);
        }
        double sum = Vector512.Sum(first + second + (third + fourth));
        for (; at < from + count; at++)
            sum += (double)gradient[at] * gradient[at];
        work->Sums[block] = sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> AddSquare(Vector512<float> number, Vector512<float> sum) => Vector512.FusedMultiplyAdd(number, number, sum);

    private struct Work
    {
        public HostNumbers* Gradients;
        public double* Sums;
    }
}
