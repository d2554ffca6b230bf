using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Data;

/// <summary>Texts with a class for the first token of every word; padded per batch to the longest row.</summary>
public sealed class TaggedTexts : ExampleSet
{
    private readonly (Encoding Encoding, long[] Labels)[] _rows;
    private readonly long _padding;

    /// <param name="labelIds">Tag to class.</param>
    /// <param name="labelAllTokens">Whether the other tokens of a word are learnt too: inside, where the first begins an entity.</param>
    public TaggedTexts(IReadOnlyList<TaggedWords> rows, IReadOnlyDictionary<string, int> labelIds, bool labelAllTokens, Tokenizer tokenizer, int maxLength)
    {
        _padding = tokenizer.PaddingId ?? 0;
        _rows = [.. rows.AsParallel().AsOrdered().Select(Tokenize)];

        (Encoding, long[]) Tokenize(TaggedWords row)
        {
            var encoding = tokenizer.Encode(row.Text, maxLength: maxLength);
            var owners = TextWords.Align(encoding, [.. row.Text.EnumerateRunes()], Ranges(row.Words));
            var labels = new long[owners.Length];
            for (var token = 0; token < owners.Length; token++)
            {
                var isFirst = TextWords.BeginsWord(owners, token);
                labels[token] = owners[token] < 0 || !(isFirst || labelAllTokens)
                    ? LanguageModelLoss.Ignored
                    : labelIds[isFirst ? row.Tags[owners[token]] : Inside(row.Tags[owners[token]])];
            }
            return (encoding, labels);
        }

        string Inside(string tag) => tag.StartsWith("B-", StringComparison.Ordinal) && labelIds.ContainsKey("I" + tag[1..]) ? "I" + tag[1..] : tag;
    }

    public override int Count => _rows.Length;

    public (int Rows, long Tokens) Truncated => (_rows.Count(row => row.Encoding.TruncatedTokens > 0), _rows.Sum(row => (long)row.Encoding.TruncatedTokens));

    /// <summary>Labels <c>[rows, seq]</c>, <see cref="LanguageModelLoss.Ignored"/> where nothing is learnt.</summary>
    public override Batch Collate(ReadOnlySpan<int> rows)
    {
        var batch = new (Encoding Encoding, long[] Labels)[rows.Length];
        for (var row = 0; row < rows.Length; row++)
            batch[row] = _rows[rows[row]];
        var inputs = TokenizedTexts.Pad([.. batch.Select(row => row.Encoding)], _padding, withTypes: false);
        var width = (int)inputs.InputIds.size(1);
        var labels = batch.SelectMany(row => row.Labels.Concat(Enumerable.Repeat(LanguageModelLoss.Ignored, width - row.Labels.Length))).ToArray();
        return new(inputs, tensor(labels).reshape(rows.Length, width), rows.Length, batch.Sum(row => row.Labels.Length), labels.Count(label => label != LanguageModelLoss.Ignored));
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
