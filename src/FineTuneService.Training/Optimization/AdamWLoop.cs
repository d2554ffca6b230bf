using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>
/// <see cref="AdamWRule"/>'s step on the host, as fast as memory is: each number is read and written once, and all parameters are one loop.
/// libtorch's fused kernel writes the divided gradients too, and begins a loop for each parameter.
/// </summary>
internal static unsafe class AdamWLoop
{
    private const int Lanes = 16;
    private const float Least = 1e-36f;

    /// <summary>Whether these tensors are what the loop is written for.</summary>
    public static bool CanTake(Tensor weight, Tensor gradient) => HostLoop.IsPlain(weight) && HostLoop.IsPlain(gradient);

    /// <param name="divisor">Of the gradients.</param>
    public static void Apply(
        IReadOnlyList<(TrainedParameter Parameter, Tensor Gradient, Tensor ExpAvg, Tensor ExpAvgSq)> entries, AdamWRule rule, double learningRate, float divisor)
    {
        var targets = ArrayPool<Target>.Shared.Rent(entries.Count);
        Span<long> counts = stackalloc long[entries.Count];
        for (var i = 0; i < entries.Count; i++)
        {
            var (parameter, gradient, expAvg, expAvgSq) = entries[i];
            var rate = learningRate * parameter.RateScale;
            counts[i] = parameter.Weight.numel();
            double steps = *HostLoop.Address<float>(parameter.State[AdamWRule.Steps]) += 1;
            targets[i] = new()
            {
                Weight = HostLoop.Address<float>(parameter.Weight),
                Gradient = HostLoop.Address<float>(gradient),
                ExpAvg = HostLoop.Address<float>(expAvg),
                ExpAvgSq = HostLoop.Address<float>(expAvgSq),
                Kept = (float)(1 - (parameter.Decays ? rate * rule.WeightDecay : 0)),
                StepSize = (float)(rate / (1 - Math.Pow(rule.Beta1, steps))),
                RootFactor = (float)(1 / Math.Sqrt(1 - Math.Pow(rule.Beta2, steps))),
            };
        }
        fixed (Target* first = targets)
        {
            var work = new Work
            {
                Targets = first,
                GradientFactor = 1 / divisor,
                ExpAvgShare = (float)(1 - rule.Beta1),
                ExpAvgSqKept = (float)rule.Beta2,
                ExpAvgSqShare = (float)(1 - rule.Beta2),
                Epsilon = (float)rule.Epsilon,
            };
            HostLoop.Run(counts, &Update, &work);
        }
        ArrayPool<Target>.Shared.Return(targets);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Update(void* data, int tensor, int block, long from, int count)
    {
        var work = (Work*)data;
        var target = work->Targets + tensor;
        Vector512<float>
            factor = Vector512.Create(work->GradientFactor), share = Vector512.Create(work->ExpAvgShare), keptSq = Vector512.Create(work->ExpAvgSqKept), shareSq = Vector512.Create(work->ExpAvgSqShare),
            epsilon = Vector512.Create(work->Epsilon), kept = Vector512.Create(target->Kept), stepSize = Vector512.Create(target->StepSize), rootFactor = Vector512.Create(target->RootFactor);
        float* weight = target->Weight + from, gradient = target->Gradient + from, expAvg = target->ExpAvg + from, expAvgSq = target->ExpAvgSq + from;
        float* last = stackalloc float[4 * Lanes];
        for (var rest = count; rest > 0; rest -= Lanes)
        {
            float* w = weight, g = gradient, m = expAvg, v = expAvgSq;
            if (rest < Lanes) // too few: the same arithmetic, elsewhere
            {
                w = last;
                g = w + Lanes;
                m = g + Lanes;
                v = m + Lanes;
                for (var i = 0; i < rest; i++)
                    (w[i], g[i], m[i], v[i]) = (weight[i], gradient[i], expAvg[i], expAvgSq[i]);
            }
            var scaled = Vector512.Load(g) * factor;
            var mean = Vector512.Load(m);
            mean = OrZero(Vector512.FusedMultiplyAdd(scaled - mean, share, mean));
            var square = OrZero(Vector512.FusedMultiplyAdd(scaled * scaled, shareSq, Vector512.Load(v) * keptSq));
            (Vector512.Load(w) * kept - stepSize * mean / Vector512.FusedMultiplyAdd(Vector512.Sqrt(square), rootFactor, epsilon)).Store(w);
            mean.Store(m);
            square.Store(v);
            if (rest < Lanes)
                for (var i = 0; i < rest; i++)
                    (weight[i], expAvg[i], expAvgSq[i]) = (w[i], m[i], v[i]);
            weight += Lanes;
            gradient += Lanes;
            expAvg += Lanes;
            expAvgSq += Lanes;
        }
    }

    /// <summary>What is next to nothing becomes nothing. The means of a word that does not occur any more would fall until they have too few bits for a processor's quick way, and stay there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> OrZero(Vector512<float> numbers) => Vector512.GreaterThan(Vector512.Abs(numbers), Vector512.Create(Least)) & numbers;

    private struct Target
    {
        public float* Weight, Gradient, ExpAvg, ExpAvgSq;
        public float Kept, StepSize, RootFactor;
    }

    private struct Work
    {
        public Target* Targets;
        public float GradientFactor, ExpAvgShare, ExpAvgSqKept, ExpAvgSqShare, Epsilon;
    }
}
