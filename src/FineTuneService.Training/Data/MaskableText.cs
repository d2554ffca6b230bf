using System.Text;
using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;
using Encoding = FineTuneService.Training.Tokenization.Encoding;

namespace FineTuneService.Training.Data;

/// <summary>A text of which tokens will be hidden; its marks say which word a token belongs to, −1 for special tokens, which are never hidden.</summary>
/// <param name="TruncatedTokens">Tokens that were cut off.</param>
internal readonly record struct MaskableText(Stretch Tokens, int TruncatedTokens)
{
    /// <summary>All texts one after the other, cut into rows of <paramref name="length"/> tokens, as transformers' <c>run_mlm</c> does; the last row may be shorter. Rows without a word are left out.</summary>
    public static IEnumerable<StoredRow> Pack(IEnumerable<Stretch> texts, int length, DatasetDraft draft)
    {
        var row = new List<Stretch>();
        var room = length;
        foreach (var text in texts)
            for (var taken = 0; taken < text.Length;)
            {
                var part = new Stretch(text.Start + taken, Math.Min(room, text.Length - taken));
                row.Add(part);
                (taken, room) = (taken + part.Length, room - part.Length);
                if (room > 0)
                    continue;
                if (HasWords(row))
                    yield return new(row, []);
                (row, room) = ([], length);
            }
        if (HasWords(row))
            yield return new(row, []);

        bool HasWords(List<Stretch> parts) => parts.Exists(part => draft.MarksOf(part).Any(word => word >= 0));
    }
}

/// <summary>Reads the texts of one file to mask them.</summary>
/// <param name="maxLength">Tokens to which a text is cut; null: all are kept.</param>
internal sealed class MaskableTextReader(string textColumn, Tokenizer tokenizer, int? maxLength, DatasetDraft draft)
{
    /// <exception cref="FaultException">With the faults of the file, or when no row has a text.</exception>
    public (List<Tokenized<MaskableText>> Rows, DataLedger Ledger) Read(string path)
    {
        var ledger = new RowLedger(path);
        var rows = new List<Tokenized<MaskableText>>();
        foreach (var (text, (key, encoding, words)) in Texts(ledger).MapInParallel(text => Tokenize(text.Text)))
            if (words.Any(word => word >= 0))
                rows.Add(new(key, new(draft.Add(encoding.Ids, words), encoding.TruncatedTokens)));
            else
                ledger.Drop("no token to hide", text.Line);
        return (rows, ledger.Close(rows.Count, ("No row has a text.", "Check text_column.")));
    }

    private IEnumerable<(long Line, string Text)> Texts(RowLedger ledger)
    {
        foreach (var row in ledger.Rows(("text_column", textColumn)))
            if (CellText.Of(row[textColumn]) is { } text && !string.IsNullOrWhiteSpace(text))
                yield return (row.Line, text);
            else
                ledger.Drop("no text", row.Line);
    }

    private (UInt128 Key, Encoding Encoding, int[] Words) Tokenize(string text)
    {
        var encoding = tokenizer.Encode(text, maxLength: maxLength);
        Rune[] runes = [.. text.EnumerateRunes()];
        return (HeldOut.KeyOf(text), encoding, TextWords.Align(encoding, runes, TextWords.Of(runes)));
    }
}
