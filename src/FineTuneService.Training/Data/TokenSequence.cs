namespace FineTuneService.Training.Data;

/// <summary>A text as a causal model reads it and learns from it.</summary>
/// <param name="Weights">How much each token counts as something to predict; 0: it is read, not learnt. The first counts never, as nothing stands before it.</param>
public sealed record TokenSequence(int[] Ids, float[] Weights)
{
    public int Length => Ids.Length;

    /// <summary>Sum of the weights that count.</summary>
    public double Targets => Weights.Skip(1).Sum(weight => (double)weight);

    /// <summary>Learns every token.</summary>
    public static TokenSequence Whole(int[] ids)
    {
        var weights = new float[ids.Length];
        Array.Fill(weights, 1);
        return new(ids, weights);
    }

    /// <summary>The first tokens (TRL's <c>keep_start</c>).</summary>
    public TokenSequence KeepStart(int maxLength) => Length <= maxLength ? this : new(Ids[..maxLength], Weights[..maxLength]);

    /// <summary>
    /// Pieces of at most <paramref name="maxLength"/> tokens. Each but the first begins with the last token of the one before, which is read there and not learnt:
    /// so every token but the very first is predicted exactly once.
    /// </summary>
    public IEnumerable<TokenSequence> Split(int maxLength)
    {
        for (var start = 0; start == 0 || start + 1 < Length; start += maxLength - 1)
        {
            var end = Math.Min(start + maxLength, Length);
            yield return new(Ids[start..end], [0, .. Weights[Math.Min(start + 1, end)..end]]);
        }
    }
}
