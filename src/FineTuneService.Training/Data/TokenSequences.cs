using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Data;

/// <summary>Texts for a causal model, one or several to a row; padded per batch to the longest row.</summary>
/// <param name="texts">Those of each row.</param>
/// <param name="padding">Id of the padding token.</param>
public sealed class TokenSequences(IReadOnlyList<IReadOnlyList<TokenSequence>> texts, long padding) : ExampleSet
{
    public override int Count => texts.Count;

    public override Batch Collate(ReadOnlySpan<int> rows)
    {
        var batch = new IReadOnlyList<TokenSequence>[rows.Length];
        for (var row = 0; row < rows.Length; row++)
            batch[row] = texts[rows[row]];
        return Collate(batch, padding);
    }

    /// <summary>
    /// Labels <c>[rows, seq]</c> stand where their tokens stand; a text's first token is never one, so no label crosses from one text to the next.
    /// Positions begin at 0 with every text; padding is a text of its own.
    /// </summary>
    public static Batch Collate(IReadOnlyList<IReadOnlyList<TokenSequence>> rows, long padding)
    {
        int height = rows.Count, width = rows.Max(row => row.Sum(text => text.Length));
        long[] ids = new long[height * width], labels = new long[height * width];
        long[] positions = new long[height * width], documents = new long[height * width];
        var weights = new float[height * width];
        Array.Fill(ids, padding);
        Array.Fill(labels, LanguageModelLoss.Ignored);
        Array.Fill(documents, -1);
        var (tokens, targets) = (0, 0.0);
        for (var row = 0; row < height; row++)
        {
            var at = row * width;
            foreach (var (document, text) in rows[row].Index())
                for (var position = 0; position < text.Length; position++, at++)
                {
                    (ids[at], positions[at], documents[at]) = (text.Ids[position], position, document);
                    if (position > 0 && text.Weights[position] > 0)
                    {
                        (labels[at], weights[at]) = (text.Ids[position], text.Weights[position]);
                        targets += text.Weights[position];
                    }
                }
            tokens += at - row * width;
        }
        var isPacked = rows.Any(row => row.Count > 1);
        var inputs = new ModelInputs(Matrix(ids)) // No mask: padding comes last, and no token sees a later one.
        {
            PositionIds = isPacked ? Matrix(positions) : null,
            DocumentIds = isPacked ? Matrix(documents) : null,
        };
        return new(inputs, Matrix(labels), height, tokens, targets) { Weights = weights.Any(weight => weight is not (0 or 1)) ? tensor(weights).reshape(height, width) : null };

        Tensor Matrix(long[] values) => tensor(values).reshape(height, width);
    }
}
