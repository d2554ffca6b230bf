using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Data;

/// <summary>A row that can be learnt from: its text, or pair of texts, and its label as the file has it.</summary>
/// <param name="Labels">One class, or any number of classes.</param>
/// <param name="Value">Regression: the number.</param>
public sealed record LabelledText(long Line, string Text, string? Pair, IReadOnlyList<string> Labels, double Value = 0);

/// <summary>Reads one file of labelled texts.</summary>
internal static class LabelledTextReader
{
    private const char LabelSeparator = '|';

    /// <summary>The rows that can be used; others go to the ledger, as do labels that are no numbers.</summary>
    /// <exception cref="FaultException">While enumerating, with the faults of the file.</exception>
    public static IEnumerable<LabelledText> Read(RowLedger ledger, DatasetSpec columns, ProblemType? problemType)
    {
        foreach (var row in ledger.Rows(("text_column", columns.TextColumn), ("text_pair_column", columns.TextPairColumn), ("label_column", columns.LabelColumn)))
        {
            var text = CellText.Of(row[columns.TextColumn!]);
            var pair = columns.TextPairColumn is null ? null : CellText.Of(row[columns.TextPairColumn]) ?? "";
            if (string.IsNullOrWhiteSpace(text))
                ledger.Drop("no text", row.Line);
            else if (row[columns.LabelColumn!] is not { } label || (label is string { } given && string.IsNullOrWhiteSpace(given)))
                ledger.Drop("no label", row.Line);
            else if (problemType != ProblemType.Regression)
                yield return new(row.Line, text, pair, Labels(label, problemType));
            else if (CellText.TryNumber(CellText.Of(label)!, out var value))
                yield return new(row.Line, text, pair, [], value);
            else
                ledger.Fault(row.Line, CellText.Of(label), "The label of a regression is not a number.", "Write numbers with a decimal point, or choose problem_type single_label_classification.");
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
