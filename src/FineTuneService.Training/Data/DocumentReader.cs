using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Data;

/// <summary>Reads texts to go on with pre-training: special tokens as the tokenizer puts them, and an end of sequence after every document.</summary>
/// <param name="separator">Divides a row into documents; null: a row is one.</param>
internal sealed class DocumentReader(string textColumn, string? separator, Tokenizer tokenizer, DatasetDraft draft)
{
    /// <exception cref="FaultException">With the faults of the file, or when no row has a text.</exception>
    public (List<Tokenized<Stretch>> Documents, DataLedger Ledger) Read(string path)
    {
        var ledger = new RowLedger(path);
        var documents = new List<Tokenized<Stretch>>();
        var (used, line, isUsed) = (0L, 0L, true);
        foreach (var (text, (key, ids)) in Texts(ledger).MapInParallel(text => (HeldOut.KeyOf(text.Text), Tokenize(text.Text))))
        {
            if (text.Line != line)
                EndRow(text.Line);
            if (ids.Length < 2)
                continue;
            documents.Add(new(key, draft.Add(ids, [])));
            isUsed = true;
        }
        EndRow(0);
        return (documents, ledger.Close(used, ("No row has a text.", "Check text_column.")));

        void EndRow(long next)
        {
            if (!isUsed)
                ledger.Drop("a single token predicts nothing", line);
            else if (line > 0)
                used++;
            (line, isUsed) = (next, false);
        }
    }

    private IEnumerable<(long Line, string Text)> Texts(RowLedger ledger)
    {
        foreach (var row in ledger.Rows(("text_column", textColumn)))
        {
            var text = CellText.Of(row[textColumn]) ?? "";
            string[] parts = [.. (separator is null ? [text] : text.Split(separator)).Where(document => !string.IsNullOrWhiteSpace(document))];
            if (parts.Length == 0)
                ledger.Drop("no text", row.Line);
            foreach (var part in parts)
                yield return (row.Line, part);
        }
    }

    private int[] Tokenize(string text)
    {
        var ids = tokenizer.Encode(text).Ids;
        return tokenizer.EosTokenId is not { } end || (ids is [.., var last] && last == end) ? ids : [.. ids, end];
    }
}
