using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>One row: its first line in the file, and a cell per column.</summary>
/// <param name="Line">From 1, the header included.</param>
/// <param name="Cells">Null, string, long, double, bool, or JsonElement for lists and objects; may be shorter than the columns.</param>
public readonly record struct DataRow(long Line, object?[] Cells, IReadOnlyDictionary<string, int> Columns)
{
    public object? this[string column] => Columns.TryGetValue(column, out var at) && at < Cells.Length ? Cells[at] : null;
}

/// <summary>
/// A file of rows, read as a stream: csv, tsv, jsonl or parquet by its extension. Text is UTF-8, a byte order mark is tolerated.
/// Limits: 1 MiB a row; 1,024 columns. Reading goes on after a fault and stops at the end, or at twenty, telling all of them.
/// </summary>
public sealed class DataFile
{
    public const int MaxRowBytes = 1 << 20;
    public const int MaxColumns = 1024;
    public const int MaxFaults = 20;

    /// <summary>Extensions without the dot.</summary>
    public static readonly IReadOnlyList<string> Formats = ["csv", "tsv", "jsonl", "parquet"];

    private DataFile(string path, string format) => (Path, Format) = (path, format);

    public string Path { get; }

    /// <summary>One of <see cref="Formats"/>.</summary>
    public string Format { get; }

    /// <exception cref="FaultException">When there is no such file, or its extension is unknown.</exception>
    public static DataFile Open(string path)
    {
        if (!File.Exists(path))
            throw new FaultException(path, null, "There is no such file.", "Check the path.");
        return new(path, FormatOf(path));
    }

    /// <exception cref="FaultException">When the extension is none of <see cref="Formats"/>.</exception>
    public static string FormatOf(string fileName) => System.IO.Path.GetExtension(fileName).TrimStart('.').ToLowerInvariant() is var extension && Formats.Contains(extension)
        ? extension
        : throw new FaultException(System.IO.Path.GetFileName(fileName), extension, "The format is not known by this extension.", $"Name the file .{string.Join(", .", Formats)}.");

    /// <summary>The columns of the first row; later rows of jsonl may bring more.</summary>
    /// <exception cref="FaultException">When there is no row, or the first is faulty.</exception>
    public IReadOnlyList<string> FirstColumns() => Rows().FirstOrDefault() is { Columns: { } columns }
        ? [.. columns.Keys]
        : throw new FaultException(At(Path, 1), null, "The file has no rows.", "Add rows below the header.");

    /// <exception cref="FaultException">While enumerating: faults in the file, each with its line.</exception>
    public IEnumerable<DataRow> Rows() => Rows(new FileFaults(Path));

    /// <summary>The rows that can be read; the others are told, and not thrown.</summary>
    /// <param name="unreadable">Told the line of a row and what is wrong with it, once for each fault.</param>
    /// <exception cref="FaultException">While enumerating: when there is no header, or nothing at all.</exception>
    internal IEnumerable<DataRow> Rows(Action<long, Fault> unreadable) => Rows(new FileFaults(Path, unreadable));

    private IEnumerable<DataRow> Rows(FileFaults faults) => Format switch
    {
        "jsonl" => JsonLines.Read(Path, faults),
        "parquet" => ParquetRows.Read(Path, faults),
        _ => DelimitedText.Read(Path, Format == "tsv" ? (byte)'\t' : null, faults),
    };

    /// <summary>Where a fault stands: file name and line.</summary>
    internal static string At(string path, long line) => $"{System.IO.Path.GetFileName(path)}:{line}";
}

/// <summary>Collects the faults of a file and stops at <see cref="DataFile.MaxFaults"/>; or tells them and goes on.</summary>
internal sealed class FileFaults(string path, Action<long, Fault>? tell = null)
{
    private readonly FaultList _faults = new();
    private long _last;

    /// <summary>Whether the row that begins here is faulty; asked while it is the last one read.</summary>
    public bool Has(long line) => _last == line;

    /// <exception cref="FaultException">When these are enough.</exception>
    public void Add(long line, object? value, string message, string remedy)
    {
        _last = line;
        if (tell is not null)
        {
            var one = new FaultList();
            one.Add(DataFile.At(path, line), value, message, remedy);
            tell(line, one.All[0]);
            return;
        }
        _faults.Add(DataFile.At(path, line), value, message, remedy);
        if (_faults.All.Count == DataFile.MaxFaults)
            _faults.ThrowIfAny();
    }

    public void ThrowIfAny() => _faults.ThrowIfAny();
}
