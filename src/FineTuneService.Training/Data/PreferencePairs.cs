using System.Runtime.InteropServices;
using System.Security.Cryptography;
using static TorchSharp.torch;

namespace FineTuneService.Training.Data;

/// <summary>An exchange with two answers, as a model reads them.</summary>
public sealed record PreferencePair(TokenSequence Chosen, TokenSequence Rejected);

/// <summary>
/// Preferences in batches of both answers: first all the chosen, then all the rejected, <c>[2 · pairs, seq]</c>, so that one forward pass serves both.
/// The loss is a mean over pairs.
/// </summary>
/// <param name="pairs">Two texts a row: chosen, rejected. Marks are weights.</param>
public sealed class PreferencePairs(TokenRows pairs, long padding) : ExampleSet
{
    private const int Answers = 2;

    public override int Count => pairs.Count;

    /// <summary>Of the longer answer: both are padded to it.</summary>
    public override int Length(int row) => Math.Max(pairs.Text(row, 0).Length, pairs.Text(row, 1).Length);

    /// <summary>What the base model makes of each answer: log-probabilities <c>(chosen, rejected)</c> by pair; empty until they are known.</summary>
    public IReadOnlyList<(float Chosen, float Rejected)> References { get; set; } = [];

    /// <summary>Tokens and weights of all pairs, for telling whether two sets are the same.</summary>
    public void AppendTo(IncrementalHash hash)
    {
        for (var row = 0; row < pairs.Count; row++)
            for (var answer = 0; answer < Answers; answer++)
            {
                hash.AppendData(MemoryMarshal.AsBytes(pairs.Ids(pairs.Text(row, answer))));
                hash.AppendData(MemoryMarshal.AsBytes(pairs.Marks(pairs.Text(row, answer))));
            }
    }

    public override Batch Collate(ReadOnlySpan<int> chosen)
    {
        var (width, hasShares) = (0, false);
        foreach (var row in chosen)
        {
            width = Math.Max(width, Length(row));
            for (var answer = 0; answer < Answers; answer++)
                hasShares |= CausalBatch.HasShares(pairs.Weights(pairs.Text(row, answer)));
        }
        var batch = new CausalBatch(Answers * chosen.Length, width, isPacked: false, hasShares, padding);
        var references = References.Count == 0 ? null : new float[Answers * chosen.Length];
        for (var at = 0; at < chosen.Length; at++)
            for (var answer = 0; answer < Answers; answer++)
            {
                var text = pairs.Text(chosen[at], answer);
                batch.Add(answer * chosen.Length + at, pairs.Ids(text), pairs.Weights(text));
                if (references is not null)
                    references[answer * chosen.Length + at] = answer == 0 ? References[chosen[at]].Chosen : References[chosen[at]].Rejected;
            }
        return batch.ToBatch() with { Rows = chosen.Length, Targets = chosen.Length, ReferenceLogProbabilities = references is null ? null : tensor(references) }; // [2 · pairs]
    }
}
