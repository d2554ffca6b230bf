using FineTuneService.Contracts;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Data;

/// <summary>A row with its tokens in place of its text.</summary>
/// <param name="Key">Equal for rows that say the same.</param>
/// <param name="Labels">As the file has them.</param>
/// <param name="Value">Regression: the number.</param>
public sealed record LabelledTokens(long Line, UInt128 Key, Stretch Tokens, int TruncatedTokens, IReadOnlyList<string> Labels, double Value);

/// <summary>The rows of a text-classification job, split and with their classes known.</summary>
public sealed record TextClassificationData
{
    /// <summary>More classes than this, nearly one a row, are no classes.</summary>
    private const int ManyLabels = 1000;

    public required ProblemType ProblemType { get; init; }

    /// <summary>Class names in the order of the logits; for regression one name.</summary>
    public required IReadOnlyList<string> Labels { get; init; }
    public IReadOnlyDictionary<string, int> LabelIds => field ??= Labels.Index().ToDictionary(label => label.Item, label => label.Index);

    public required IReadOnlyList<LabelledTokens> Train { get; init; }

    /// <summary>Empty when nothing is held out.</summary>
    public required IReadOnlyList<LabelledTokens> Validation { get; init; }
    public required IReadOnlyList<LabelledTokens> Test { get; init; }
    public required IReadOnlyList<DataLedger> Ledgers { get; init; }

    /// <param name="dataset">With paths, and its columns resolved.</param>
    /// <param name="seed">Of the split.</param>
    /// <param name="tokenize">Puts the rows' texts into a dataset, in their order.</param>
    /// <param name="known">Class names that a model already has; null: those of the training rows.</param>
    /// <exception cref="FaultException">With file and line of each fault.</exception>
    public static TextClassificationData Load(DatasetSpec dataset, ProblemType? problemType, long seed, TextTokens tokenize, IReadOnlyList<string>? known = null)
    {
        problemType ??= DataFile.Open(dataset.Train).Rows().Take(100).Any(row => LabelledTextReader.IsList(row[dataset.LabelColumn!]))
            ? ProblemType.MultiLabelClassification
            : ProblemType.SingleLabelClassification;
        List<DataLedger> ledgers = [];
        var train = Read(dataset.Train);
        string[] labels = known is not null ? [.. known] : problemType == ProblemType.Regression ? ["LABEL_0"] : LabelOrder.Of(train.SelectMany(row => row.Labels));
        if (problemType != ProblemType.Regression && known is not null)
            CheckKnown(dataset.Train, train, labels);
        else
            CheckLabels(dataset, problemType.Value, labels, train);

        var validation = Split(dataset.Validation);
        var test = Split(dataset.Test);
        if (dataset.Validation is null && dataset.ValidationSplit > 0)
            (train, validation) = HeldOut.Split(train, dataset.ValidationSplit, seed, row => row.Key, row => string.Join('|', row.Labels));
        return new() { ProblemType = problemType.Value, Labels = labels, Train = train, Validation = validation, Test = test, Ledgers = ledgers };

        List<LabelledTokens> Split(string? path)
        {
            if (path is null)
                return [];
            var rows = Read(path);
            if (problemType != ProblemType.Regression)
                CheckKnown(path, rows, labels);
            return rows;
        }

        List<LabelledTokens> Read(string path)
        {
            var ledger = new RowLedger(path);
            var rows = tokenize.Of(LabelledTextReader.Read(ledger, dataset, problemType)).ToList();
            ledgers.Add(ledger.Close(rows.Count, ("No row has both a text and a label.", "Check text_column and label_column.")));
            return rows;
        }
    }

    public void WriteTo(DatasetDraft draft)
    {
        draft.Write("train", Train.Select(Stored));
        draft.Write("validation", Validation.Select(Stored));
        draft.Write("test", Test.Select(Stored));
        var repeated = ProblemType != ProblemType.SingleLabelClassification ? [] : Train.GroupBy(row => row.Key, row => row.Labels[0]).Select(group => group.CountBy(label => label).Select(label => label.Value).ToArray()).Where(counts => counts.Sum() > 1).ToArray();
        draft.Facts = new()
        {
            Notes = [.. Ledgers.Select(ledger => ledger.ToString())],
            TruncatedRows = Train.Count(row => row.TruncatedTokens > 0),
            TruncatedTokens = Train.Sum(row => (long)row.TruncatedTokens),
            RepeatedRows = repeated.Sum(counts => counts.Sum()),
            ContradictedRows = repeated.Sum(counts => counts.Sum() - counts.Max()),
            Labels = Labels,
            ProblemType = ProblemType,
        };
    }

    /// <summary>With one class id; or 0/1 per class; or the number.</summary>
    private StoredRow Stored(LabelledTokens row) => new([row.Tokens], ProblemType switch
    {
        ProblemType.SingleLabelClassification => [LabelIds[row.Labels[0]]],
        ProblemType.MultiLabelClassification => [.. Labels.Select(label => row.Labels.Contains(label) ? 1f : 0f)],
        _ => [(float)row.Value],
    })
    {
        Line = row.Line,
    };

    /// <summary>The checks that a profile of the training file allows, before a job is accepted.</summary>
    public static void Check(DatasetProfile train, DatasetSpec dataset, ProblemType? problemType, FaultList faults)
    {
        var label = train.Columns.FirstOrDefault(column => column.Name == dataset.LabelColumn);
        var text = train.Columns.FirstOrDefault(column => column.Name == dataset.TextColumn);
        if (label is null || text is null)
            return; // Missing columns are told where columns are resolved.
        faults.Require(text.Empty < train.Rows, "/dataset/text_column", text.Name, "Every row of this column is empty.", "Name the column with the text.");
        faults.Require(label.Empty < train.Rows, "/dataset/label_column", label.Name, "Every row of this column is empty.", "Name the column with the label.");
        if (problemType == ProblemType.Regression)
            faults.Require(
                label.Kind is ColumnKind.Integer or ColumnKind.Number, "/dataset/label_column", label.Name,
                $"A regression needs numbers, and this column holds {label.Kind.ToString().ToLowerInvariant()} values{Example(label)}.", "Name a column of numbers, or choose problem_type single_label_classification.");
        else if (problemType != ProblemType.MultiLabelClassification && label.Kind != ColumnKind.List && label.Empty < train.Rows)
        {
            faults.Require(label.Distinct > 1, "/dataset/label_column", label.Name, $"Every row has the same label{Example(label)}: there is nothing to tell apart.", "Add rows of at least one other label.");
            faults.Require(!label.DistinctIsMore, "/dataset/label_column", label.Name, $"This column has more than {label.Distinct} different values: it looks like text or ids, not like classes.", "Name the column with the label.");
        }
    }

    /// <summary>A value to show, one that is no number if there is one.</summary>
    private static string Example(ColumnProfile column) =>
        column.Counts is { Count: > 0 } counts ? $" (such as '{counts.Keys.FirstOrDefault(value => !CellText.TryNumber(value, out _)) ?? counts.Keys.First()}')" : "";

    private static void CheckLabels(DatasetSpec dataset, ProblemType problemType, string[] labels, List<LabelledTokens> rows)
    {
        if (problemType == ProblemType.Regression)
            return;
        var faults = new FaultList();
        faults.Require(
            labels.Length > 1 || problemType == ProblemType.MultiLabelClassification, "/dataset/label_column", dataset.LabelColumn,
            $"Every row has the same label ({labels.FirstOrDefault()}): there is nothing to tell apart.", "Add rows of at least one other label.");
        faults.Require(
            labels.Length <= ManyLabels || labels.Length * 2 <= rows.Count, "/dataset/label_column", dataset.LabelColumn,
            $"{labels.Length} different values in {rows.Count} rows: this looks like text or ids, not like classes.", "Name the column with the label.");
        faults.ThrowIfAny();
    }

    private static void CheckKnown(string path, List<LabelledTokens> rows, string[] labels)
    {
        var known = labels.ToHashSet();
        var faults = new FileFaults(path);
        foreach (var row in rows)
            foreach (var label in row.Labels.Where(label => !known.Contains(label)))
                faults.Add(row.Line, label, "No training row has this label.", $"Add training rows for it, or drop the row. Known: {string.Join(", ", labels.Take(20))}.");
        faults.ThrowIfAny();
    }
}
