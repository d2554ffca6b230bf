namespace FineTuneService.Training.Tokenization;

/// <summary>What a model reads of one text, or of a pair. All arrays have one entry a token.</summary>
/// <param name="TypeIds">0, or 1 for what belongs to the second text where the model family tells them apart.</param>
/// <param name="SpecialTokensMask">1 where a token was put around the texts, 0 where it stands for a part of them.</param>
/// <param name="Offsets">The part of its own text that a token stands for, in Unicode code points; (0, 0) for special tokens.</param>
public sealed record Encoding(int[] Ids, int[] TypeIds, int[] SpecialTokensMask, (int Start, int End)[] Offsets)
{
    /// <summary>How many tokens of the texts were cut off.</summary>
    public int TruncatedTokens { get; init; }
}
