using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>The order of rows in an epoch: a function of seed and epoch alone, so a resumed run needs no sampler state.</summary>
public static class EpochOrder
{
    /// <returns>A permutation of 0 … <paramref name="count"/> − 1 (Fisher–Yates), or the identity for sequential sampling.</returns>
    public static int[] Of(int count, TrainSamplingStrategy strategy, long seed, int epoch)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        if (strategy == TrainSamplingStrategy.Random)
        {
            var random = new SplitMix64(unchecked((ulong)seed * 0x9E3779B97F4A7C15UL + (ulong)epoch));
            for (var last = count - 1; last > 0; last--)
            {
                var other = (int)random.Below((ulong)last + 1);
                (order[last], order[other]) = (order[other], order[last]);
            }
        }
        return order;
    }
}

/// <summary>SplitMix64 (Steele, Lea and Flood 2014): the same numbers on every machine and runtime, unlike System.Random.</summary>
public struct SplitMix64(ulong state)
{
    private ulong _state = state;

    public ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15UL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }

    /// <summary>Uniform in [0, bound): the high half of a 128-bit product (Lemire 2019); the bias is below bound / 2⁶⁴.</summary>
    public ulong Below(ulong bound) => Math.BigMul(Next(), bound, out _);
}
