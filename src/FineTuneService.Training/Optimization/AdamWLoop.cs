using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>
/// <see cref="AdamWRule"/>'s step on the host, as fast as memory is: each number is read and written once, copies in bf16 are made along with the weights, and all parameters are one loop. libtorch's fused kernel writes the divided gradients too.
/// Of a table whose gradient comes by rows, rows that have never had one are left alone: all that can happen to them is the decay of their weights.
/// </summary>
internal static unsafe class AdamWLoop
{
    private const int Lanes = HostLoop.Lanes;
    private const float Least = 1e-36f;

    /// <param name="entries">Parameters, each with its gradient in any form; their state is updated.</param>
    /// <param name="foundInf">A scalar, fp32: with 1 in it everything stays as it is.</param>
    /// <param name="divisor">Of the gradients, a scalar, fp32.</param>
    public static void Apply(IReadOnlyList<(TrainedParameter Parameter, Tensor Gradient)> entries, AdamWRule rule, double learningRate, Tensor foundInf, Tensor divisor)
    {
        if (foundInf.ToSingle() > 0)
            return;
        var targets = ArrayPool<Target>.Shared.Rent(entries.Count);
        Span<long> counts = stackalloc long[entries.Count];
        for (var i = 0; i < entries.Count; i++)
        {
            var (parameter, gradient) = entries[i];
            var rate = learningRate * parameter.RateScale;
            counts[i] = parameter.Weight.numel();
            double steps = *HostLoop.Address<float>(parameter.State[AdamWRule.Steps]) += 1;
            targets[i] = new()
            {
                Weight = HostLoop.Address<float>(parameter.Weight),
                Gradient = HostNumbers.Of(gradient.is_contiguous() ? gradient : gradient.contiguous()),
                Copy = parameter.Copy is { } copy ? HostLoop.Address<ushort>(copy) : null,
                ExpAvg = Mean.Of(parameter, AdamWRule.ExpAvg),
                ExpAvgSq = Mean.Of(parameter, AdamWRule.ExpAvgSq),
                Kept = (float)(1 - (parameter.Decays ? rate * rule.WeightDecay : 0)),
                StepSize = (float)(rate / (1 - Math.Pow(rule.Beta1, steps))),
                RootFactor = (float)(1 / Math.Sqrt(1 - Math.Pow(rule.Beta2, steps))),
            };
            if (parameter.Rows is { Values: not null } rows)
                targets[i].Rows = rows.Show(parameter.State[AdamWRule.ExpAvg], parameter.State[AdamWRule.ExpAvgSq]);
        }
        fixed (Target* first = targets)
        {
            var work = new Work
            {
                Targets = first,
                GradientFactor = 1 / divisor.ToSingle(),
                ExpAvgShare = (float)(1 - rule.Beta1),
                ExpAvgSqKept = (float)rule.Beta2,
                ExpAvgSqShare = (float)(1 - rule.Beta2),
                Epsilon = (float)rule.Epsilon,
            };
            HostLoop.Run(counts, &Update, &work);
        }
        ArrayPool<Target>.Shared.Return(targets);
    }

    private static void Update(void* data, int tensor, int block, long from, int count)
    {
        var work = (Work*)data;
        ref var target = ref work->Targets[tensor];
        if (target.ExpAvg.Codes is not null)
        {
            StepCoded(work, target, from, count);
            return;
        }
        if (target.Rows.Width == 0)
        {
            Step(work, target, target.Gradient, from, from, count);
            return;
        }
        ref var rows = ref target.Rows;
        for (long at = from, end = from + count, next; at < end; at = next)
        {
            var row = at / rows.Width;
            next = Math.Min(end, (row + 1) * rows.Width);
            if (rows.Places[row] is var place and >= 0)
                Step(work, target, target.Gradient, (place * rows.Width) + (at - (row * rows.Width)), at, (int)(next - at));
            else if (rows.AreLearnt[row])
                Step(work, target, new(rows.Nothing), 0, at, (int)(next - at));
            else if (target.Kept != 1)
                Decay(work, target, at, (int)(next - at));
        }
    }

    private static void Step(Work* work, in Target target, HostNumbers gradient, long gradientFrom, long from, int count) =>
        Step(work, target, gradient, gradientFrom, from, target.ExpAvg.Values + from, target.ExpAvgSq.Values + from, count);

    private static void StepCoded(Work* work, in Target target, long from, int count)
    {
        float* mean = stackalloc float[DynamicMap.BlockSize], square = stackalloc float[DynamicMap.BlockSize];
        for (long at = from, end = from + count; at < end; at += DynamicMap.BlockSize) // A loop's block is some of these.
        {
            var some = (int)Math.Min(DynamicMap.BlockSize, end - at);
            ref float magnitude = ref target.ExpAvg.Magnitudes[at / DynamicMap.BlockSize], magnitudeSq = ref target.ExpAvgSq.Magnitudes[at / DynamicMap.BlockSize];
            DynamicMapLoop.Signed.Dequantize(target.ExpAvg.Codes + at, magnitude, mean, some);
            DynamicMapLoop.Unsigned.Dequantize(target.ExpAvgSq.Codes + at, magnitudeSq, square, some);
            Step(work, target, target.Gradient, at, at, mean, square, some);
            magnitude = DynamicMapLoop.Signed.Quantize(mean, target.ExpAvg.Codes + at, some);
            magnitudeSq = DynamicMapLoop.Unsigned.Quantize(square, target.ExpAvgSq.Codes + at, some);
        }
    }

    /// <param name="gradientFrom">The place in the gradient of what belongs to place <paramref name="from"/> of the weight.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Step(Work* work, in Target target, HostNumbers gradient, long gradientFrom, long from, float* expAvg, float* expAvgSq, int count)
    {
        Vector512<float>
            factor = Vector512.Create(work->GradientFactor), share = Vector512.Create(work->ExpAvgShare), keptSq = Vector512.Create(work->ExpAvgSqKept), shareSq = Vector512.Create(work->ExpAvgSqShare),
            epsilon = Vector512.Create(work->Epsilon), kept = Vector512.Create(target.Kept), stepSize = Vector512.Create(target.StepSize), rootFactor = Vector512.Create(target.RootFactor);
        var weight = target.Weight + from;
        var copy = target.Copy is null ? null : target.Copy + from;
        float* last = stackalloc float[4 * Lanes];
        var lastCopy = stackalloc ushort[Lanes];
        for (var i = 0; i < count; i += Lanes)
        {
            float* w = weight + i, m = expAvg + i, v = expAvgSq + i;
            var c = copy + i;
            var rest = count - i;
            Vector512<float> scaled;
            if (rest >= Lanes)
                scaled = gradient.Load(gradientFrom + i) * factor;
            else // too few: the same arithmetic, elsewhere
            {
                w = last;
                m = w + Lanes;
                v = m + Lanes;
                c = lastCopy;
                var g = v + Lanes;
                for (var j = 0; j < rest; j++)
                    (w[j], g[j], m[j], v[j]) = (weight[i + j], gradient[gradientFrom + i + j], expAvg[i + j], expAvgSq[i + j]);
                scaled = Vector512.Load(g) * factor;
            }
            var mean = Vector512.Load(m);
            mean = OrZero(Vector512.FusedMultiplyAdd(scaled - mean, share, mean));
            var square = OrZero(Vector512.FusedMultiplyAdd(scaled * scaled, shareSq, Vector512.Load(v) * keptSq));
            var updated = (Vector512.Load(w) * kept) - (stepSize * mean / Vector512.FusedMultiplyAdd(Vector512.Sqrt(square), rootFactor, epsilon));
            updated.Store(w);
            mean.Store(m);
            square.Store(v);
            if (copy is not null)
                HostNumbers.StoreBf16(updated, c);
            for (var j = 0; j < rest && rest < Lanes; j++)
            {
                (weight[i + j], expAvg[i + j], expAvgSq[i + j]) = (w[j], m[j], v[j]);
                if (copy is not null)
                    copy[i + j] = c[j];
            }
        }
    }

    /// <summary>A step where gradient and means are 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Decay(Work* work, in Target target, long from, int count)
    {
        var i = from;
        for (; i <= from + count - Lanes; i += Lanes)
        {
            var updated = Vector512.Load(target.Weight + i) * target.Kept;
            updated.Store(target.Weight + i);
            if (target.Copy is not null)
                HostNumbers.StoreBf16(updated, target.Copy + i);
        }
        Step(work, target, new(target.Rows.Nothing), 0, i, (int)(from + count - i));
    }

    /// <summary>What is next to nothing becomes nothing. The means of a word that does not occur any more would fall until they have too few bits for a processor's quick way, and stay there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> OrZero(Vector512<float> numbers) => Vector512.GreaterThan(Vector512.Abs(numbers), Vector512.Create(Least)) & numbers;

    /// <summary>In fp32, or in 8 bits.</summary>
    private struct Mean
    {
        public float* Values, Magnitudes;
        public byte* Codes;

        public static Mean Of(TrainedParameter parameter, string name) => parameter.State.TryGetValue(name, out var values)
            ? new() { Values = HostLoop.Address<float>(values) }
            : new() { Codes = HostLoop.Address<byte>(parameter.State[name + AdamWRule.Codes]), Magnitudes = HostLoop.Address<float>(parameter.State[name + AdamWRule.Magnitudes]) };
    }

    private struct Target
    {
        public float* Weight;
        public Mean ExpAvg, ExpAvgSq;
        public HostNumbers Gradient;
        public ushort* Copy;
        public float Kept, StepSize, RootFactor;
        public RowGradient.View Rows;
    }

    private struct Work
    {
        public Target* Targets;
        public float GradientFactor, ExpAvgShare, ExpAvgSqKept, ExpAvgSqShare, Epsilon;
    }
}
