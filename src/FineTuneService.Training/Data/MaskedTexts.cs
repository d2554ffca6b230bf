using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Data;

/// <summary>Which tokens are hidden, and behind what.</summary>
/// <param name="Probability">With which a token, or a word, is chosen; at least one of a row always is.</param>
/// <param name="WholeWords">Whether words are chosen, and with them all their tokens.</param>
/// <param name="Replacement">What takes the place of a chosen token.</param>
public sealed record MaskingRule(double Probability, bool WholeWords, MaskReplacement Replacement, int MaskTokenId, int VocabularySize, long Seed);

/// <summary>What stands in the place of a chosen token, in twentieths; the rest of them stay as they are.</summary>
/// <param name="Mask">The mask.</param>
/// <param name="Other">Any token of the vocabulary.</param>
public readonly record struct MaskReplacement(int Mask, int Other)
{
    public const int Whole = 20;

    /// <summary>Devlin et al. 2018, arXiv:1810.04805: 80, 10 and 10 of 100.</summary>
    public static MaskReplacement Bert => new(16, 2);

    /// <summary>ELECTRA's own code (google-research/electra, pretrain_helpers.py): 85 of 100 behind the mask, and 15 stay; other tokens are what the generator is for.</summary>
    public static MaskReplacement Electra => new(17, 0);
}

/// <summary>
/// Texts with some tokens hidden, drawn anew in every epoch. What is hidden is a function of seed, epoch and row alone: a resumed run hides the same,
/// and any thread may collate.
/// </summary>
/// <param name="rows">Of one text, or of several, one after the other. Marks say which word of its text a token belongs to; −1 is never hidden.</param>
/// <param name="padding">Id of the padding token.</param>
public sealed class MaskedTexts(TokenRows rows, MaskingRule rule, long padding) : ExampleSet
{
    private const int EvaluationEpoch = -1;

    public override int Count => rows.Count;

    public override int Length(int row) => rows.Length(row);

    /// <summary>For evaluation: the same every time.</summary>
    public override Batch Collate(ReadOnlySpan<int> chosen) => Collate(chosen, EvaluationEpoch);

    public override Batch Collate(ReadOnlySpan<int> chosen, int epoch)
    {
        var width = 0;
        foreach (var row in chosen)
            width = Math.Max(width, rows.Length(row));
        var padded = new PaddedRows(chosen.Length, width, padding, withTypes: false);
        var labels = Numbers.Filled(LanguageModelLoss.Ignored, chosen.Length, width);
        var places = new List<long>();
        var units = new List<Unit>();
        for (var at = 0; at < chosen.Length; at++)
        {
            var ids = Put(padded, at, chosen[at], units);
            Hide(units, Random(epoch, chosen[at]), ids, Numbers.Of<long>(labels).Slice(at * width, ids.Length), at * width, places);
        }
        return new(padded.ToInputs() with { LogitPositions = Numbers.Of(places) }, labels, chosen.Length, padded.Tokens, places.Count);
    }

    /// <summary>Writes a row's texts, and notes what of them is chosen together: the tokens of a word, or one token.</summary>
    private Span<long> Put(PaddedRows padded, int at, int row, List<Unit> units)
    {
        units.Clear();
        var start = 0;
        for (var index = 0; index < rows.Texts(row); index++)
        {
            var text = rows.Text(row, index);
            var words = rows.Marks(text);
            padded.Add(at, rows.Ids(text));
            var last = -1;
            for (var token = 0; token < words.Length; token++)
            {
                if (words[token] < 0)
                    continue;
                if (rule.WholeWords && words[token] == last && units[^1].End == start + token)
                    units[^1] = units[^1] with { End = start + token + 1 };
                else
                    units.Add(new(start + token, start + token + 1));
                last = words[token];
            }
            start += text.Length;
        }
        return padded.Row(at);
    }

    private SplitMix64 Random(int epoch, int row)
    {
        var ofEpoch = new SplitMix64(unchecked((ulong)rule.Seed * 0x9E3779B97F4A7C15UL + (ulong)epoch)).Next();
        return new(ofEpoch ^ unchecked((ulong)row * 0xD1B54A32D192ED03UL));
    }

    /// <param name="offset">Of the row in the flattened batch.</param>
    /// <param name="places">Gets where in the flattened batch there is something to be guessed.</param>
    private void Hide(List<Unit> units, SplitMix64 random, Span<long> ids, Span<long> labels, int offset, List<long> places)
    {
        var chosen = new List<Unit>();
        foreach (var unit in units)
            if (Chance(ref random, rule.Probability))
                chosen.Add(unit);
        if (chosen.Count == 0)
            chosen.Add(units[(int)random.Below((ulong)units.Count)]);
        foreach (var (start, end) in chosen)
            for (var token = start; token < end; token++)
            {
                (labels[token], var draw) = (ids[token], (int)random.Below(MaskReplacement.Whole));
                places.Add(offset + token);
                ids[token] = draw < rule.Replacement.Mask ? rule.MaskTokenId
                    : draw < rule.Replacement.Mask + rule.Replacement.Other ? (long)random.Below((ulong)rule.VocabularySize)
                    : ids[token];
            }
    }

    private static bool Chance(ref SplitMix64 random, double probability) => random.Fraction() < probability;

    /// <summary>Tokens of a row that are hidden together, <c>[start, end)</c>.</summary>
    private readonly record struct Unit(int Start, int End);
}
