using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Data;

/// <summary>A row that can be learnt from: its text, or pair of texts, and its label as the file has it.</summary>
/// <param name="Labels">One class, or any number of classes.</param>
/// <param name="Value">Regression: the number.</param>
public sealed record LabelledText(long Line, string Text, string? Pair, IReadOnlyList<string> Labels, double Value = 0);

/// <summary>Where every row of a file went: <c>rows = used + the sum of dropped</c>.</summary>
/// <param name="Dropped">Reason to the lines' count and the first of them.</param>
public sealed record DataLedger(string File, long Rows, long Used, IReadOnlyDictionary<string, DroppedRows> Dropped)
{
    public override string ToString() =>
        $"{File}: {Rows} rows, {Used} used" + string.Concat(Dropped.Select(entry => $", {entry.Value.Count} dropped ({entry.Key}; lines {string.Join(", ", entry.Value.FirstLines)}{(entry.Value.Count > entry.Value.FirstLines.Count ? ", …" : "")})"));
}

public sealed record DroppedRows(long Count, IReadOnlyList<long> FirstLines);

/// <summary>Reads one file of labelled texts.</summary>
internal static class LabelledTextReader
{
    private const char LabelSeparator = '|';

    /// <exception cref="FaultException">With the faults of the file: columns, labels that are no numbers.</exception>
    public static (List<LabelledText> Rows, DataLedger Ledger) Read(string path, DatasetSpec columns, ProblemType? problemType)
    {
        var faults = new FileFaults(path);
        var rows = new List<LabelledText>();
        var dropped = new Dictionary<string, List<long>>();
        long count = 0;
        foreach (var row in DataFile.Open(path).Rows())
        {
            if (count++ == 0)
                CheckColumns(path, row, columns);
            var text = CellText.Of(row[columns.TextColumn!]);
            var pair = columns.TextPairColumn is null ? null : CellText.Of(row[columns.TextPairColumn]) ?? "";
            if (string.IsNullOrWhiteSpace(text))
                Drop("no text", row.Line);
            else if (row[columns.LabelColumn!] is not { } label || (label is string { } given && string.IsNullOrWhiteSpace(given)))
                Drop("no label", row.Line);
            else if (problemType != ProblemType.Regression)
                rows.Add(new(row.Line, text, pair, Labels(label, problemType)));
            else if (CellText.TryNumber(CellText.Of(label)!, out var value))
                rows.Add(new(row.Line, text, pair, [], value));
            else
                faults.Add(row.Line, CellText.Of(label), "The label of a regression is not a number.", "Write numbers with a decimal point, or choose problem_type single_label_classification.");
        }
        faults.ThrowIfAny();
        if (rows.Count == 0)
            throw new FaultException(Path.GetFileName(path), $"{count} rows", "No row has both a text and a label.", "Check text_column and label_column.");
        return (rows, new DataLedger(Path.GetFileName(path), count, rows.Count, dropped.ToDictionary(entry => entry.Key, entry => new DroppedRows(entry.Value.Count, [.. entry.Value.Take(5)]))));

        void Drop(string reason, long line)
        {
            if (!dropped.TryGetValue(reason, out var lines))
                dropped.Add(reason, lines = []);
            lines.Add(line);
        }
    }

    /// <summary>True for a label that can only mean several classes.</summary>
    public static bool IsList(object? label) => label is JsonElement { ValueKind: JsonValueKind.Array };

    private static string[] Labels(object label, ProblemType? problemType) => label switch
    {
        JsonElement { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(item => item.ToString().Trim())],
        _ when problemType == ProblemType.MultiLabelClassification => CellText.Of(label)!.Split(LabelSeparator, StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
        _ => [CellText.Of(label)!.Trim()],
    };

    private static void CheckColumns(string path, DataRow row, DatasetSpec columns)
    {
        var faults = new FaultList();
        foreach (var (name, pointer) in new[] { (columns.TextColumn, "text_column"), (columns.TextPairColumn, "text_pair_column"), (columns.LabelColumn, "label_column") })
            if (name is not null && !row.Columns.ContainsKey(name))
                faults.Add($"/dataset/{pointer}", name, $"{Path.GetFileName(path)} has no such column.", $"Name one of: {string.Join(", ", row.Columns.Keys)}.");
        faults.ThrowIfAny();
    }
}

/// <summary>The order of class names: by number when all are whole numbers, otherwise by code point.</summary>
internal static class LabelOrder
{
    public static string[] Of(IEnumerable<string> labels)
    {
        string[] distinct = [.. labels.Distinct()];
        return distinct.All(label => long.TryParse(label, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _))
            ? [.. distinct.OrderBy(label => long.Parse(label, CultureInfo.InvariantCulture))]
            : [.. distinct.Order(StringComparer.Ordinal)];
    }
}
