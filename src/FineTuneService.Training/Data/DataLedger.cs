using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>Where every row of a file went: <c>rows = used + the sum of dropped</c>.</summary>
/// <param name="Dropped">Reason to the lines' count and the first of them.</param>
public sealed record DataLedger(string File, long Rows, long Used, IReadOnlyDictionary<string, DroppedRows> Dropped)
{
    public override string ToString() =>
        $"{File}: {Rows} rows, {Used} used" + string.Concat(Dropped.Select(entry => $", {entry.Value.Count} dropped ({entry.Key}; lines {string.Join(", ", entry.Value.FirstLines)}{(entry.Value.Count > entry.Value.FirstLines.Count ? ", …" : "")})"));
}

public sealed record DroppedRows(long Count, IReadOnlyList<long> FirstLines);

/// <summary>Reads the rows of a file and keeps its ledger: each row is used, dropped for a reason, or a fault.</summary>
internal sealed class RowLedger(string path)
{
    private const int ShownLines = 5;

    private readonly FileFaults _faults = new(path);
    private readonly SortedDictionary<string, List<long>> _dropped = new(StringComparer.Ordinal);
    private long _rows;

    /// <exception cref="FaultException">While enumerating: faults in the file; or when a needed column is missing.</exception>
    /// <param name="needed">Fields of the specification's <c>dataset</c> with the columns they name.</param>
    public IEnumerable<DataRow> Rows(params (string Field, string? Column)[] needed)
    {
        foreach (var row in DataFile.Open(path).Rows())
        {
            if (_rows++ == 0)
                CheckColumns(row, needed);
            yield return row;
        }
    }

    public void Drop(string reason, long line)
    {
        if (!_dropped.TryGetValue(reason, out var lines))
            _dropped.Add(reason, lines = []);
        lines.Add(line);
    }

    /// <exception cref="FaultException">When the file's faults are enough.</exception>
    public void Fault(long line, object? value, string message, string remedy) => _faults.Add(line, value, message, remedy);

    /// <param name="used">Rows that were used.</param>
    /// <param name="nothing">What to tell when none was.</param>
    /// <exception cref="FaultException">With the faults of the file, or when no row was used.</exception>
    public DataLedger Close(long used, (string Message, string Remedy) nothing)
    {
        _faults.ThrowIfAny();
        var ledger = new DataLedger(Path.GetFileName(path), _rows, used, _dropped.ToDictionary(entry => entry.Key, entry => new DroppedRows(entry.Value.Count, [.. entry.Value.Order().Take(ShownLines)])));
        return used > 0 ? ledger : throw new FaultException(ledger.File, ledger.ToString(), nothing.Message, nothing.Remedy);
    }

    private void CheckColumns(DataRow row, (string Field, string? Column)[] needed)
    {
        var faults = new FaultList();
        foreach (var (field, column) in needed)
            if (column is not null && !row.Columns.ContainsKey(column))
                faults.Add($"/dataset/{field}", column, $"{Path.GetFileName(path)} has no such column.", $"Name one of: {string.Join(", ", row.Columns.Keys)}.");
        faults.ThrowIfAny();
    }
}
