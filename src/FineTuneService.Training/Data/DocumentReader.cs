using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Data;

/// <summary>Reads texts to go on with pre-training: special tokens as the tokenizer puts them, and an end of sequence after every document.</summary>
/// <param name="separator">Divides a row into documents; null: a row is one.</param>
internal sealed class DocumentReader(string textColumn, string? separator, Tokenizer tokenizer)
{
    /// <exception cref="FaultException">With the faults of the file, or when no row has a text.</exception>
    public (List<Tokenized<TokenSequence>> Documents, DataLedger Ledger) Read(string path)
    {
        var ledger = new RowLedger(path);
        var texts = new List<(long Line, string Text)>();
        foreach (var row in ledger.Rows(("text_column", textColumn)))
        {
            var text = CellText.Of(row[textColumn]) ?? "";
            string[] parts = [.. (separator is null ? [text] : text.Split(separator)).Where(document => !string.IsNullOrWhiteSpace(document))];
            if (parts.Length == 0)
                ledger.Drop("no text", row.Line);
            texts.AddRange(parts.Select(part => (row.Line, part)));
        }
        var rows = texts.AsParallel().AsOrdered()
            .Select(row => (row.Line, Document: new Tokenized<TokenSequence>(HeldOut.KeyOf(row.Text), Tokenize(row.Text))))
            .ToLookup(row => row.Line, row => row.Document);
        foreach (var row in rows.Where(row => row.All(document => document.Tokens.Targets == 0)))
            ledger.Drop("a single token predicts nothing", row.Key);
        var documents = rows.SelectMany(row => row).Where(document => document.Tokens.Targets > 0).ToList();
        return (documents, ledger.Close(rows.Count(row => row.Any(document => document.Tokens.Targets > 0)), ("No row has a text.", "Check text_column.")));
    }

    private TokenSequence Tokenize(string text)
    {
        var ids = tokenizer.Encode(text).Ids;
        return TokenSequence.Whole(tokenizer.EosTokenId is not { } end || (ids is [.., var last] && last == end) ? ids : [.. ids, end]);
    }
}
