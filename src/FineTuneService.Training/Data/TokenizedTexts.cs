using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Data;

/// <summary>Texts as token ids, with what each is to be sorted into; padded per batch to the longest row.</summary>
/// <param name="rows">Values: one class id; or 0/1 per class; or one number. Marks are the types of a pair's tokens.</param>
/// <param name="padding">Id of the padding token.</param>
public sealed class TokenizedTexts(TokenRows rows, ProblemType problemType, long padding) : ExampleSet
{
    /// <summary>By class, of a row in the loss; null: all 1.</summary>
    public float[]? ClassWeights { get; init; }

    public override int Count => rows.Count;

    public override int Length(int row) => rows.Length(row);

    public override long? LineOf(int row) => rows.LineOf(row);

    public override Batch Collate(ReadOnlySpan<int> chosen)
    {
        var padded = new PaddedRows(chosen.Length, Longest(chosen), padding, rows.HasMarks);
        for (var at = 0; at < chosen.Length; at++)
            padded.Add(at, rows.Ids(rows.Text(chosen[at], 0)), rows.Marks(rows.Text(chosen[at], 0)));
        if (ClassWeights is null)
            return new(padded.ToInputs(), Labels(chosen), chosen.Length, padded.Tokens, ClassificationLoss.Targets(problemType, chosen.Length, rows.Values(chosen[0]).Length));
        var weights = new float[chosen.Length];
        for (var at = 0; at < chosen.Length; at++)
            weights[at] = ClassWeights[(int)rows.Values(chosen[at])[0]];
        return new(padded.ToInputs(), Labels(chosen), chosen.Length, padded.Tokens, weights.Sum(weight => (double)weight)) { Weights = tensor(weights) };
    }

    /// <summary>Pads on the right to the longest row; no mask where nothing is padded.</summary>
    public static ModelInputs Pad(IReadOnlyList<Encoding> encodings, long padding, bool withTypes)
    {
        var padded = new PaddedRows(encodings.Count, encodings.Max(encoding => encoding.Ids.Length), padding, withTypes);
        foreach (var (row, encoding) in encodings.Index())
            padded.Add(row, encoding.Ids, withTypes ? encoding.TypeIds : []);
        return padded.ToInputs();
    }

    /// <summary><c>[batch]</c>; of many labels <c>[batch, labels]</c>.</summary>
    private Tensor Labels(ReadOnlySpan<int> chosen)
    {
        if (problemType == ProblemType.SingleLabelClassification)
        {
            var classes = empty(chosen.Length, ScalarType.Int64);
            for (var at = 0; at < chosen.Length; at++)
                Numbers.Of<long>(classes)[at] = (long)rows.Values(chosen[at])[0];
            return classes;
        }
        var width = rows.Values(chosen[0]).Length;
        var values = problemType == ProblemType.MultiLabelClassification ? empty(chosen.Length, width) : empty(chosen.Length);
        for (var at = 0; at < chosen.Length; at++)
            rows.Values(chosen[at]).CopyTo(Numbers.Of<float>(values)[(at * width)..]);
        return values;
    }

    private int Longest(ReadOnlySpan<int> chosen)
    {
        var longest = 0;
        foreach (var row in chosen)
            longest = Math.Max(longest, rows.Length(row));
        return longest;
    }
}
