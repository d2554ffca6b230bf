using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

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
/// <param name="padding">Id of the padding token.</param>
public sealed class MaskedTexts(IReadOnlyList<MaskableText> texts, MaskingRule rule, long padding) : ExampleSet
{
    private const int EvaluationEpoch = -1;

    public override int Count => texts.Count;

    /// <summary>For evaluation: the same every time.</summary>
    public override Batch Collate(ReadOnlySpan<int> rows) => Collate(rows, EvaluationEpoch);

    public override Batch Collate(ReadOnlySpan<int> rows, int epoch)
    {
        var width = 0;
        foreach (var row in rows)
            width = Math.Max(width, texts[row].Ids.Length);
        long[] ids = new long[rows.Length * width], mask = new long[rows.Length * width], labels = new long[rows.Length * width];
        Array.Fill(ids, padding);
        Array.Fill(labels, LanguageModelLoss.Ignored);
        var (tokens, targets) = (0, 0);
        for (var at = 0; at < rows.Length; at++)
        {
            var text = texts[rows[at]];
            var (start, length) = (at * width, text.Ids.Length);
            Array.Fill(mask, 1, start, length);
            targets += Hide(text, Random(epoch, rows[at]), ids.AsSpan(start, length), labels.AsSpan(start, length));
            tokens += length;
        }
        var inputs = new ModelInputs(Matrix(ids, rows.Length), tokens < ids.Length ? Matrix(mask, rows.Length) : null) { LogitPositions = tensor(Hidden(labels, targets)) };
        return new(inputs, Matrix(labels, rows.Length), rows.Length, tokens, targets);

        static Tensor Matrix(long[] values, int height) => tensor(values).reshape(height, -1);
    }

    private static long[] Hidden(long[] labels, int count)
    {
        var places = new long[count];
        for (int place = 0, next = 0; place < labels.Length; place++)
            if (labels[place] != LanguageModelLoss.Ignored)
                places[next++] = place;
        return places;
    }

    private SplitMix64 Random(int epoch, int row)
    {
        var ofEpoch = new SplitMix64(unchecked((ulong)rule.Seed * 0x9E3779B97F4A7C15UL + (ulong)epoch)).Next();
        return new(ofEpoch ^ unchecked((ulong)row * 0xD1B54A32D192ED03UL));
    }

    /// <returns>How many tokens are to be guessed.</returns>
    private int Hide(MaskableText text, SplitMix64 random, Span<long> ids, Span<long> labels)
    {
        var units = Units(text);
        var chosen = units.Where(_ => Chance(ref random, rule.Probability)).ToArray();
        if (chosen.Length == 0)
            chosen = [units[(int)random.Below((ulong)units.Length)]];
        for (var token = 0; token < text.Ids.Length; token++)
            ids[token] = text.Ids[token];
        foreach (var token in chosen.SelectMany(unit => unit))
        {
            labels[token] = text.Ids[token];
            var draw = (int)random.Below(MaskReplacement.Whole);
            ids[token] = draw < rule.Replacement.Mask ? rule.MaskTokenId
                : draw < rule.Replacement.Mask + rule.Replacement.Other ? (long)random.Below((ulong)rule.VocabularySize)
                : text.Ids[token];
        }
        return chosen.Sum(unit => unit.Length);
    }

    /// <summary>What is chosen together: the tokens of a word, or one token.</summary>
    private int[][] Units(MaskableText text)
    {
        var tokens = Enumerable.Range(0, text.Ids.Length).Where(token => text.Words[token] >= 0);
        return [.. tokens.GroupBy(token => rule.WholeWords ? text.Words[token] : token).Select(group => group.ToArray())];
    }

    private static bool Chance(ref SplitMix64 random, double probability) => (random.Next() >> 11) * (1.0 / (1UL << 53)) < probability;
}
