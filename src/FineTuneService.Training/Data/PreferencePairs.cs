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
public sealed class PreferencePairs(IReadOnlyList<PreferencePair> pairs, long padding) : ExampleSet
{
    public override int Count => pairs.Count;

    /// <summary>What the base model makes of each answer: log-probabilities <c>(chosen, rejected)</c> by pair; empty until they are known.</summary>
    public IReadOnlyList<(float Chosen, float Rejected)> References { get; set; } = [];

    /// <summary>Tokens and weights of all pairs, for telling whether two sets are the same.</summary>
    public void AppendTo(IncrementalHash hash)
    {
        foreach (var text in pairs.SelectMany(pair => new[] { pair.Chosen, pair.Rejected }))
        {
            hash.AppendData(MemoryMarshal.AsBytes<int>(text.Ids));
            hash.AppendData(MemoryMarshal.AsBytes<float>(text.Weights));
        }
    }

    public override Batch Collate(ReadOnlySpan<int> rows)
    {
        var chosen = rows.ToArray();
        var texts = chosen.Select(row => pairs[row].Chosen).Concat(chosen.Select(row => pairs[row].Rejected)).Select(text => (IReadOnlyList<TokenSequence>)[text]);
        return TokenSequences.Collate([.. texts], padding) with
        {
            Rows = rows.Length,
            Targets = rows.Length,
            ReferenceLogProbabilities = References.Count == 0 ? null
                : tensor(chosen.Select(row => References[row].Chosen).Concat(chosen.Select(row => References[row].Rejected)).ToArray()), // [2 · pairs]
        };
    }
}
