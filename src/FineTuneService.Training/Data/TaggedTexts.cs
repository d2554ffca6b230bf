using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Data;

/// <summary>Texts with a class for the first token of every word; padded per batch to the longest row.</summary>
/// <param name="rows">Marks are classes, <see cref="LanguageModelLoss.Ignored"/> where nothing is learnt.</param>
/// <param name="padding">Id of the padding token.</param>
public sealed class TaggedTexts(TokenRows rows, long padding) : ExampleSet
{
    public override int Count => rows.Count;

    public override int Length(int row) => rows.Length(row);

    /// <summary>Labels <c>[rows, seq]</c>.</summary>
    public override Batch Collate(ReadOnlySpan<int> chosen)
    {
        var width = 0;
        foreach (var row in chosen)
            width = Math.Max(width, rows.Length(row));
        var padded = new PaddedRows(chosen.Length, width, padding, withTypes: false);
        var labels = Numbers.Filled(LanguageModelLoss.Ignored, chosen.Length, width);
        var targets = 0;
        for (var at = 0; at < chosen.Length; at++)
        {
            var text = rows.Text(chosen[at], 0);
            padded.Add(at, rows.Ids(text));
            var ofRow = Numbers.Of<long>(labels)[(at * width)..];
            var classes = rows.Marks(text);
            for (var token = 0; token < classes.Length; token++)
            {
                ofRow[token] = classes[token];
                targets += classes[token] == LanguageModelLoss.Ignored ? 0 : 1;
            }
        }
        return new(padded.ToInputs(), labels, chosen.Length, padded.Tokens, targets);
    }

    /// <summary>Tokens of a row with their classes, and how many were cut off.</summary>
    /// <param name="labelIds">Tag to class.</param>
    /// <param name="labelAllTokens">Whether the other tokens of a word are learnt too: inside, where the first begins an entity.</param>
    internal static (int[] Ids, int[] Labels, int TruncatedTokens) Tokenize(TaggedWords row, IReadOnlyDictionary<string, int> labelIds, bool labelAllTokens, Tokenizer tokenizer, int maxLength)
    {
        var encoding = tokenizer.Encode(row.Text, maxLength: maxLength);
        var owners = TextWords.Align(encoding, [.. row.Text.EnumerateRunes()], Ranges(row.Words));
        var labels = new int[owners.Length];
        for (var token = 0; token < owners.Length; token++)
        {
            var isFirst = TextWords.BeginsWord(owners, token);
            labels[token] = owners[token] < 0 || !(isFirst || labelAllTokens)
                ? (int)LanguageModelLoss.Ignored
                : labelIds[isFirst ? row.Tags[owners[token]] : Inside(row.Tags[owners[token]])];
        }
        return (encoding.Ids, labels, encoding.TruncatedTokens);

        string Inside(string tag) => tag.StartsWith("B-", StringComparison.Ordinal) && labelIds.ContainsKey("I" + tag[1..]) ? "I" + tag[1..] : tag;
    }

    /// <summary>Where each word stands in the joined text, in code points.</summary>
    private static List<(int Start, int End)> Ranges(IReadOnlyList<string> words)
    {
        var ranges = new List<(int, int)>(words.Count);
        var at = 0;
        foreach (var word in words)
        {
            var length = word.EnumerateRunes().Count();
            ranges.Add((at, at + length));
            at += length + 1;
        }
        return ranges;
    }
}
