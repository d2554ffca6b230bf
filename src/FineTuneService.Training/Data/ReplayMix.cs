using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>
/// Rows of an earlier dataset among those that are trained on, against forgetting (experience replay: Rolnick et al. 2019, arXiv:1811.11682). They stand behind the training rows of a set,
/// and each epoch draws some of them: all once before any a second time. Which, is a function of seed and epoch alone, so a resumed run needs no state.
/// </summary>
/// <param name="TrainRows">That every epoch has.</param>
/// <param name="Pool">Rows that are drawn from.</param>
/// <param name="Drawn">Of them, in an epoch.</param>
public sealed record ReplayMix(int TrainRows, int Pool, int Drawn, long Seed)
{
    public int RowsPerEpoch => TrainRows + Drawn;

    /// <param name="fraction">That replayed rows are of an epoch's.</param>
    /// <param name="rows">In all, those to draw from included.</param>
    public static ReplayMix Of(double fraction, int rows, int pool, long seed) => new(rows - pool, pool, DrawnBeside(rows - pool, fraction), seed);

    /// <summary>At least one.</summary>
    public static int DrawnBeside(long trainRows, double fraction) => (int)Math.Clamp(Math.Round(trainRows * fraction / (1 - fraction), MidpointRounding.AwayFromZero), 1, int.MaxValue - trainRows);

    /// <returns>The rows of an epoch; what is replayed is spread evenly, for who takes them as they stand.</returns>
    public int[] OfEpoch(int epoch)
    {
        var rows = new int[RowsPerEpoch];
        using var replayed = Draw(epoch).GetEnumerator();
        for (int at = 0, train = 0; at < rows.Length; at++)
            rows[at] = (long)(at + 1) * Drawn / rows.Length > (long)at * Drawn / rows.Length && replayed.MoveNext() ? replayed.Current : train++;
        return rows;
    }

    public override string ToString() => FormattableString.Invariant($"replay: each epoch has {TrainRows} training rows and {Drawn} of the {Pool} that are replayed.");

    private IEnumerable<int> Draw(int epoch)
    {
        var (order, round) = (Array.Empty<int>(), -1L);
        for (long at = (long)epoch * Drawn, end = at + Drawn; at < end; at++)
        {
            if (at / Pool != round)
                order = EpochOrder.Of(Pool, TrainSamplingStrategy.Random, Seed, (int)(round = at / Pool));
            yield return TrainRows + order[at % Pool];
        }
    }
}
