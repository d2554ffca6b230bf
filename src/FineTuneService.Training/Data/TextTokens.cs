using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Data;

/// <summary>Puts labelled texts into a dataset, cut to the maximal length; of pairs with the types of their tokens, where the tokenizer tells them apart.</summary>
public sealed class TextTokens(DatasetDraft draft, Tokenizer tokenizer, int maxLength)
{
    private readonly bool _tellsPairsApart = tokenizer.Encode("a", "b").TypeIds.Contains(1);

    /// <summary>In the rows' order.</summary>
    public IEnumerable<LabelledTokens> Of(IEnumerable<LabelledText> rows)
    {
        foreach (var (row, (key, encoding)) in rows.MapInParallel(row => (HeldOut.KeyOf($"{row.Text}\0{row.Pair}"), tokenizer.Encode(row.Text, row.Pair, maxLength: maxLength))))
            yield return new(
                row.Line, key, draft.Add(encoding.Ids, row.Pair is not null && _tellsPairsApart ? encoding.TypeIds : []), encoding.TruncatedTokens, row.Labels, row.Value);
    }
}
