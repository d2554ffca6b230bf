using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>The order of rows in an epoch: a function of seed, epoch and the rows' lengths alone, so a resumed run needs no sampler state.</summary>
public static class EpochOrder
{
    /// <summary>Optimizer steps whose rows are sorted together: enough for batches of like lengths, few enough that an epoch stays a mixture.</summary>
    private const int MegaBatch = 50;

    /// <returns>Every row of the epoch once, as the arguments want them.</returns>
    public static int[] Of(ExampleSet rows, TrainingArguments arguments, int epoch)
    {
        var (seed, chosen) = (arguments.DataSeed ?? arguments.Seed, rows.Replay?.OfEpoch(epoch));
        var order = arguments.TrainSamplingStrategy == TrainSamplingStrategy.GroupByLength
            ? GroupedByLength([.. (chosen ?? Enumerable.Range(0, rows.Count)).Select(rows.Length)], arguments.PerDeviceTrainBatchSize.Resolved * arguments.GradientAccumulationSteps, seed, epoch)
            : Of(rows.RowsPerEpoch, arguments.TrainSamplingStrategy, seed, epoch);
        return chosen is null ? order : [.. order.Select(at => chosen[at])];
    }

    /// <returns>A permutation of 0 … <paramref name="count"/> − 1 (Fisher–Yates), or the identity for sequential sampling.</returns>
    public static int[] Of(int count, TrainSamplingStrategy strategy, long seed, int epoch)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        if (strategy == TrainSamplingStrategy.Sequential)
            return order;
        var random = new SplitMix64(unchecked((ulong)seed * 0x9E3779B97F4A7C15UL + (ulong)epoch));
        for (var last = count - 1; last > 0; last--)
        {
            var other = (int)random.Below((ulong)last + 1);
            (order[last], order[other]) = (order[other], order[last]);
        }
        return order;
    }

    /// <summary>
    /// transformers' <c>get_length_grouped_indices</c>: a random order in stretches of some steps, each sorted by length, the longest first; and the longest row of all at the very front,
    /// where a batch that does not fit into memory is found at once.
    /// </summary>
    /// <param name="batch">Rows of an optimizer step.</param>
    public static int[] GroupedByLength(int[] lengths, int batch, long seed, int epoch)
    {
        var order = Of(lengths.Length, TrainSamplingStrategy.Random, seed, epoch);
        var size = Math.Max(1, Math.Min(MegaBatch, lengths.Length / (4 * batch))) * batch;
        int[] grouped = [.. order.Chunk(size).SelectMany(rows => rows.OrderByDescending(row => lengths[row]))];
        var longest = Enumerable.Range(0, (lengths.Length + size - 1) / size).Select(at => at * size).MaxBy(at => lengths[grouped[at]]);
        (grouped[0], grouped[longest]) = (grouped[longest], grouped[0]);
        return grouped;
    }

    /// <summary>The longest first, rows of the same length in their order: for passes whose results do not depend on it.</summary>
    public static int[] ByLength(ExampleSet rows) => [.. Enumerable.Range(0, rows.Count).OrderByDescending(rows.Length)];
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

    /// <summary>Uniform in [0, 1), of 53 bits.</summary>
    public double Fraction() => (Next() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [0, bound): the high half of a 128-bit product (Lemire 2019); the bias is below bound / 2⁶⁴.</summary>
    public ulong Below(ulong bound) => Math.BigMul(Next(), bound, out _);
}
