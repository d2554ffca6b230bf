using System.Text;
using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Data;

/// <summary>A row of tokens of which some will be hidden.</summary>
/// <param name="Words">For each token the word that it belongs to; −1 for special tokens, which are never hidden.</param>
public sealed record MaskableText(int[] Ids, int[] Words)
{
    /// <summary>Tokens that were cut off.</summary>
    public int TruncatedTokens { get; init; }

    /// <summary>All texts one after the other, cut into rows of <paramref name="length"/> tokens, as transformers' <c>run_mlm</c> does; the last row may be shorter.</summary>
    public static IReadOnlyList<MaskableText> Pack(IReadOnlyList<MaskableText> texts, int length)
    {
        var ids = new List<int>();
        var words = new List<int>();
        var before = 0;
        foreach (var text in texts)
        {
            ids.AddRange(text.Ids);
            words.AddRange(text.Words.Select(word => word < 0 ? word : before + word));
            before += text.Words.Max() + 1;
        }
        return [.. ids.Chunk(length).Zip(words.Chunk(length), (row, owners) => new MaskableText(row, owners)).Where(row => row.Words.Any(word => word >= 0))];
    }
}

/// <summary>Reads the texts of one file to mask them.</summary>
/// <param name="maxLength">Tokens to which a text is cut; null: all are kept.</param>
internal sealed class MaskableTextReader(string textColumn, Tokenizer tokenizer, int? maxLength)
{
    /// <exception cref="FaultException">With the faults of the file, or when no row has a text.</exception>
    public (List<Tokenized<MaskableText>> Rows, DataLedger Ledger) Read(string path)
    {
        var ledger = new RowLedger(path);
        var texts = new List<(long Line, string Text)>();
        foreach (var row in ledger.Rows(("text_column", textColumn)))
            if (CellText.Of(row[textColumn]) is { } text && !string.IsNullOrWhiteSpace(text))
                texts.Add((row.Line, text));
            else
                ledger.Drop("no text", row.Line);
        var rows = texts.AsParallel().AsOrdered().Select(row => (row.Line, Row: new Tokenized<MaskableText>(HeldOut.KeyOf(row.Text), Tokenize(row.Text)))).ToList();
        foreach (var (line, _) in rows.Where(row => !HasWords(row.Row)))
            ledger.Drop("no token to hide", line);
        rows.RemoveAll(row => !HasWords(row.Row));
        return ([.. rows.Select(row => row.Row)], ledger.Close(rows.Count, ("No row has a text.", "Check text_column.")));

        static bool HasWords(Tokenized<MaskableText> row) => row.Tokens.Words.Any(word => word >= 0);
    }

    private MaskableText Tokenize(string text)
    {
        var encoding = tokenizer.Encode(text, maxLength: maxLength);
        Rune[] runes = [.. text.EnumerateRunes()];
        return new(encoding.Ids, TextWords.Align(encoding, runes, TextWords.Of(runes))) { TruncatedTokens = encoding.TruncatedTokens };
    }
}
