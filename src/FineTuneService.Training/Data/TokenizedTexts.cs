using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Data;

/// <summary>Texts as token ids, with what each is to be sorted into; padded per batch to the longest row.</summary>
public sealed class TokenizedTexts : ExampleSet
{
    private readonly Encoding[] _encodings;
    private readonly float[][] _targets;
    private readonly ProblemType _problemType;
    private readonly long _padding;
    private readonly bool _hasPairs;
    private readonly IReadOnlyList<long>? _lines;

    /// <param name="texts">A text, or a text and its pair.</param>
    /// <param name="targets">One class id; or 0/1 per class; or one number.</param>
    /// <param name="lines">Of each text, in its file; null: not known.</param>
    public TokenizedTexts(IReadOnlyList<(string Text, string? Pair)> texts, float[][] targets, ProblemType problemType, Tokenizer tokenizer, int maxLength, IReadOnlyList<long>? lines = null)
    {
        _lines = lines;
        (_targets, _problemType, _padding) = (targets, problemType, tokenizer.PaddingId ?? 0);
        _encodings = [.. texts.AsParallel().AsOrdered().Select(text => tokenizer.Encode(text.Text, text.Pair, maxLength: maxLength))];
        _hasPairs = _encodings.Any(encoding => encoding.TypeIds.Contains(1));
    }

    public override int Count => _encodings.Length;

    public (int Rows, long Tokens) Truncated => (_encodings.Count(encoding => encoding.TruncatedTokens > 0), _encodings.Sum(encoding => (long)encoding.TruncatedTokens));

    public override long? LineOf(int row) => _lines?[row];

    public override Batch Collate(ReadOnlySpan<int> rows)
    {
        var encodings = new Encoding[rows.Length];
        for (var row = 0; row < rows.Length; row++)
            encodings[row] = _encodings[rows[row]];
        var inputs = Pad(encodings, _padding, _hasPairs);
        var labels = _problemType switch
        {
            ProblemType.SingleLabelClassification => tensor(Gather(rows).Select(target => (long)target[0]).ToArray()), // [batch]
            ProblemType.MultiLabelClassification => tensor(Gather(rows).SelectMany(target => target).ToArray()).reshape(rows.Length, -1), // [batch, labels]
            _ => tensor(Gather(rows).Select(target => target[0]).ToArray()), // [batch]
        };
        return new(inputs, labels, rows.Length, encodings.Sum(encoding => encoding.Ids.Length), ClassificationLoss.Targets(_problemType, rows.Length, _targets[rows[0]].Length));
    }

    /// <summary>Pads on the right to the longest row; no mask where nothing is padded.</summary>
    public static ModelInputs Pad(IReadOnlyList<Encoding> encodings, long padding, bool withTypes)
    {
        int rows = encodings.Count, width = encodings.Max(encoding => encoding.Ids.Length);
        long[] ids = new long[rows * width], mask = new long[rows * width], types = new long[rows * width];
        Array.Fill(ids, padding);
        for (var row = 0; row < rows; row++)
            for (var column = 0; column < encodings[row].Ids.Length; column++)
            {
                var at = row * width + column;
                (ids[at], mask[at], types[at]) = (encodings[row].Ids[column], 1, encodings[row].TypeIds[column]);
            }
        return new(
            tensor(ids).reshape(rows, width),
            encodings.Any(encoding => encoding.Ids.Length < width) ? tensor(mask).reshape(rows, width) : null,
            withTypes ? tensor(types).reshape(rows, width) : null);
    }

    private float[][] Gather(ReadOnlySpan<int> rows)
    {
        var targets = new float[rows.Length][];
        for (var row = 0; row < rows.Length; row++)
            targets[row] = _targets[rows[row]];
        return targets;
    }
}
