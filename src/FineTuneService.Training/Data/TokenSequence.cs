using System.Text.Json.Serialization;

namespace FineTuneService.Training.Data;

/// <summary>A text as a causal model reads it and learns from it.</summary>
/// <param name="Weights">How much each token counts as something to predict; 0: it is read, not learnt. The first counts never, as nothing stands before it.</param>
public sealed record TokenSequence(int[] Ids, float[] Weights)
{
    [JsonIgnore]
    public int Length => Ids.Length;

    /// <summary>Sum of the weights that count.</summary>
    [JsonIgnore]
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
}
