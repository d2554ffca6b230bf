namespace FineTuneService.Training.Data;

/// <summary>Texts for a causal model, one or several to a row; padded per batch to the longest row.</summary>
/// <param name="rows">Marks are weights; without them every token is learnt.</param>
/// <param name="padding">Id of the padding token.</param>
public sealed class TokenSequences(TokenRows rows, long padding) : ExampleSet
{
    public override int Count => rows.Count;

    public override int Length(int row) => rows.Length(row);

    public override bool IsPacked(int row) => rows.Texts(row) > 1;

    public override Batch Collate(ReadOnlySpan<int> chosen)
    {
        var (width, isPacked, hasShares) = (0, false, false);
        foreach (var row in chosen)
        {
            width = Math.Max(width, rows.Length(row));
            isPacked |= rows.Texts(row) > 1;
            for (var text = 0; text < rows.Texts(row); text++)
                hasShares |= CausalBatch.HasShares(rows.Weights(rows.Text(row, text)));
        }
        var batch = new CausalBatch(chosen.Length, width, isPacked, hasShares, padding);
        for (var at = 0; at < chosen.Length; at++)
            for (var index = 0; index < rows.Texts(chosen[at]); index++)
            {
                var text = rows.Text(chosen[at], index);
                batch.Add(at, rows.Ids(text), rows.Weights(text));
            }
        return batch.ToBatch();
    }
}
