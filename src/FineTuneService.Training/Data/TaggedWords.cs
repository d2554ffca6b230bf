using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>A row of words, each with its tag.</summary>
public sealed record TaggedWords(long Line, IReadOnlyList<string> Words, IReadOnlyList<string> Tags)
{
    /// <summary>The text that the words make: a space between each two, as predictions will read it.</summary>
    public string Text => string.Join(' ', Words);
}

/// <summary>The rows of a token-classification job, split and with their tags known.</summary>
/// <param name="Labels">Tag names in the order of the logits.</param>
public sealed record TaggedWordsData(IReadOnlyList<string> Labels, DatasetSplits<TaggedWords> Splits)
{
    private const int ManyLabels = 1000;

    /// <param name="dataset">With paths, and its columns resolved.</param>
    /// <param name="names">Tag names by number; null: the tags are names, or numbers that stand for themselves.</param>
    /// <param name="seed">Of the split.</param>
    /// <exception cref="FaultException">With file and line of each fault.</exception>
    public static TaggedWordsData Load(DatasetSpec dataset, IReadOnlyList<string>? names, long seed)
    {
        string[]? labels = names is null ? null : [.. names];
        var splits = DatasetSplits.Load(dataset, seed, path =>
        {
            var read = Read(path, dataset, names, labels);
            labels ??= LabelOrder.Of(read.Rows.SelectMany(row => row.Tokens.Tags)); // the training file is read first
            return read;
        });
        var faults = new FaultList();
        faults.Require(labels!.Length > 1, "/dataset/tags_column", dataset.TagsColumn, $"Every word has the same tag ({labels.FirstOrDefault()}): there is nothing to tell apart.", "Add rows with at least one other tag.");
        faults.Require(labels.Length <= ManyLabels, "/dataset/tags_column", dataset.TagsColumn, $"{labels.Length} different tags: this looks like words or ids, not like classes.", "Name the column with the tags.");
        faults.ThrowIfAny();
        return new(labels, splits);
    }

    private static (List<Tokenized<TaggedWords>> Rows, DataLedger Ledger) Read(string path, DatasetSpec dataset, IReadOnlyList<string>? names, string[]? known)
    {
        var ledger = new RowLedger(path);
        var knownTags = known?.ToHashSet();
        var rows = new List<Tokenized<TaggedWords>>();
        foreach (var row in ledger.Rows(("tokens_column", dataset.TokensColumn), ("tags_column", dataset.TagsColumn)))
        {
            if (List(dataset.TokensColumn!, row, ledger) is not { } words || List(dataset.TagsColumn!, row, ledger) is not { } tags)
                continue;
            if (words.Count == 0)
                ledger.Drop("no words", row.Line);
            else if (words.Count != tags.Count)
                ledger.Fault(row.Line, $"{words.Count} words, {tags.Count} tags", "Words and tags differ in number.", "Give one tag for each word.");
            else if (Spelled(tags, names, row.Line, ledger) is { } spelled && AreKnown(spelled, knownTags, row.Line, ledger))
            {
                var tagged = new TaggedWords(row.Line, [.. words.Select(word => word.ToString())], spelled);
                rows.Add(new(HeldOut.KeyOf(tagged.Text), tagged));
            }
        }
        return (rows, ledger.Close(rows.Count, ("No row has words with tags.", "Check tokens_column and tags_column.")));
    }

    private static IReadOnlyList<JsonElement>? List(string column, DataRow row, RowLedger ledger)
    {
        if (row[column] is JsonElement { ValueKind: JsonValueKind.Array } list && list.EnumerateArray().All(item => item.ValueKind is JsonValueKind.String or JsonValueKind.Number))
            return [.. list.EnumerateArray()];
        ledger.Fault(row.Line, column, "This column must hold a list, of words or of tags.", "Write jsonl: {\"tokens\": [\"Ada\", \"sings\"], \"ner_tags\": [\"B-PER\", \"O\"]}.");
        return null;
    }

    private static string[]? Spelled(IReadOnlyList<JsonElement> tags, IReadOnlyList<string>? names, long line, RowLedger ledger)
    {
        if (names is null || tags.All(tag => tag.ValueKind == JsonValueKind.String))
            return [.. tags.Select(tag => tag.ToString())];
        if (tags.FirstOrDefault(tag => !tag.TryGetInt32(out var number) || number < 0 || number >= names.Count) is { ValueKind: not JsonValueKind.Undefined } wrong)
        {
            ledger.Fault(line, wrong.ToString(), "There is no such tag.", $"Give numbers from 0 to {names.Count - 1}, or more label_names.");
            return null;
        }
        return [.. tags.Select(tag => names[tag.GetInt32()])];
    }

    private static bool AreKnown(string[] tags, HashSet<string>? known, long line, RowLedger ledger)
    {
        if (known is null || tags.FirstOrDefault(tag => !known.Contains(tag)) is not { } wrong)
            return true;
        ledger.Fault(line, wrong, "This tag is not known.", $"Add it to label_names or to the training rows, or correct it. Known: {string.Join(", ", known.Take(20))}.");
        return false;
    }
}
