using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>A dataset as report and cleaning look at it: its rows, and which of them say the same, nearly the same, or contradict each other.</summary>
internal sealed class DataAnalysis : IDisposable
{
    /// <summary>More labels than this, nearly one a row, are no classes.</summary>
    private const int ManyLabels = 1000;

    /// <summary>More different numbers than this, some of them with decimals, are what a regression learns.</summary>
    private const int ManyNumbers = 20;

    /// <summary>A text so many times as long as the usual one, and beyond this, is too long.</summary>
    private const int LongFactor = 20, LongFrom = 4_000;

    /// <exception cref="FaultException">When a file cannot be read at all, or a column is missing.</exception>
    /// <param name="share">Of the whole work that this is.</param>
    public DataAnalysis(DatasetFiles files, ScanOptions options, ProgressTeller progress, double share)
    {
        var scan = Scan = new(files, options, progress, share * 0.8);
        progress.Begin("comparing texts", share * 0.2);
        Near = options.Similarity is { } similarity ? new(scan.Rows.Count, scan.Indexes, similarity, progress.At) : null;
    }

    public DataScan Scan { get; }

    /// <summary>Null where they were not asked for.</summary>
    public NearDuplicates? Near { get; }

    /// <summary>Whether rows are sorted into classes.</summary>
    public bool HasClasses => Scan.Columns.Task == "text-classification" && Scan.Labels.Count > 1 && !AreNumbers && (Scan.Labels.Count <= ManyLabels || Scan.Labels.Count * 10 <= Scan.Rows.Count);

    /// <summary>From here on texts are too long, in characters.</summary>
    public int TooLong => field > 0 ? field : field = FindTooLong();

    private bool AreNumbers => Scan.Labels.Count > ManyNumbers && Scan.Labels.All(label => CellText.TryNumber(label, out _)) && Scan.Labels.Any(label => label.Contains('.', StringComparison.Ordinal));

    /// <summary>Rows of a part that a job could use, in the order of their lines.</summary>
    public IEnumerable<int> Usable(DataSplit split) =>
        Scan.Files.Where(file => file.Split == split).SelectMany(file => Enumerable.Range(file.Start, file.End - file.Start)).Where(row => Scan.Rows[row].Unusable is null);

    public IEnumerable<int> Held => Usable(DataSplit.Validation).Concat(Usable(DataSplit.Test));

    /// <summary>Equal for rows whose texts are equal or nearly so.</summary>
    public int Group(int row) => Near?.Group(Scan.Rows[row].First) ?? Scan.Rows[row].First;

    /// <summary>Each of the rows that repeats an earlier one, text and label.</summary>
    public IEnumerable<(int Row, int Of)> Repeated(IEnumerable<int> rows, Func<int, int> label)
    {
        var seen = new Dictionary<(int First, int Label), int>();
        foreach (var row in rows)
            if (!seen.TryAdd((Scan.Rows[row].First, label(row)), row))
                yield return (row, seen[(Scan.Rows[row].First, label(row))]);
    }

    /// <summary>The rows of each text that has several labels.</summary>
    public IEnumerable<int[]> Conflicts(IEnumerable<int> rows, Func<int, int> label) => rows
        .GroupBy(row => Scan.Rows[row].First)
        .Where(text => text.Skip(1).Any(row => label(row) != label(text.First())))
        .Select(text => text.ToArray());

    /// <summary>Each of the rows whose text is nearly that of an earlier one, equal texts left aside.</summary>
    /// <param name="comparable">Whether two labels may count as such.</param>
    public IEnumerable<(int Row, int Of, double Similarity)> NearlyRepeated(IEnumerable<int> rows, Func<int, int> label, Func<int, int, bool> comparable)
    {
        if (Near is null)
            return [];
        var shown = new Dictionary<int, int>();
        foreach (var row in rows)
            shown.TryAdd(Scan.Rows[row].First, row);
        return Near
            .Repeated(shown.OrderBy(text => text.Value).Select(text => text.Key), (one, other) => comparable(label(shown[one]), label(shown[other])))
            .Select(pair => (Row: shown[pair.Row], Of: shown[pair.Of], pair.Similarity))
            .OrderBy(pair => pair.Row);
    }

    /// <summary>Each of the rows whose text is, exactly or nearly, one of the others; in the order of the rows.</summary>
    public IEnumerable<(int Row, int Of, double Similarity)> Shared(IEnumerable<int> rows, IEnumerable<int> others)
    {
        var known = new Dictionary<int, int>();
        foreach (var row in others)
            known.TryAdd(Scan.Rows[row].First, row);
        int[] all = [.. rows];
        foreach (var row in all)
            if (known.TryGetValue(Scan.Rows[row].First, out var same))
                yield return (row, same, 1);
        if (Near is null)
            yield break;
        var fresh = all.Where(row => !known.ContainsKey(Scan.Rows[row].First)).ToLookup(row => Scan.Rows[row].First);
        foreach (var (text, of, similarity) in Near.Shared(fresh.Select(group => group.Key), known.Keys))
            foreach (var row in fresh[text])
                yield return (row, known[of], similarity);
    }

    /// <summary>The language that most training rows are in; <see cref="TextLanguage.Unknown"/> where no language has three quarters of those that can be told.</summary>
    public byte UsualLanguage(Func<DataSplit, IEnumerable<int>> rows)
    {
        var counts = new int[TextLanguage.Count];
        foreach (var row in rows(DataSplit.Train))
            counts[Scan.Rows[row].Language]++;
        counts[TextLanguage.Unknown] = 0;
        var most = counts.Index().MaxBy(count => count.Item);
        return most.Item * 4 > counts.Sum() * 3 ? (byte)most.Index : TextLanguage.Unknown;
    }

    /// <summary>Training rows that a search for wrong labels may learn from, in an order that looks random.</summary>
    /// <param name="label">A row's label; −1: it is left out.</param>
    public IEnumerable<LabelledRow> Labelled(IEnumerable<int> rows, Func<int, int> label) => rows
        .Where(row => label(row) >= 0 && Scan.Sample.Texts.ContainsKey(row))
        .OrderBy(Scan.Sample.Draw)
        .Select(row => new LabelledRow(row, Scan.Sample.Texts[row], label(row), Group(row)));

    public void Dispose() => Scan.Dispose();

    private int FindTooLong()
    {
        int[] lengths = [.. Usable(DataSplit.Train).Select(row => Scan.Rows[row].Characters).Order()];
        return lengths.Length == 0 ? LongFrom : Math.Max(LongFrom, LongFactor * lengths[lengths.Length / 2]);
    }
}
