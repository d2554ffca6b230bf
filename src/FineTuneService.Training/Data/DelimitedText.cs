using System.Buffers;
using System.Text;
using System.Text.Unicode;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>
/// Comma-separated text (RFC 4180: quoted fields, doubled quotes, line breaks within quotes; the delimiter , ; or tab is the one that the header has most of)
/// and tab-separated text (IANA text/tab-separated-values: quotes are plain characters). The first row names the columns; empty lines are skipped.
/// </summary>
internal sealed class DelimitedText : IDisposable
{
    private readonly string _path;
    private readonly ByteLines _bytes;
    private readonly FileFaults _faults;
    private readonly byte _delimiter;
    private readonly bool _quotes;
    private readonly SearchValues<byte> _plainStops;
    private readonly ArrayBufferWriter<byte> _field = new();

    private static readonly SearchValues<byte> QuotedStops = SearchValues.Create("\"\n\0"u8);

    /// <param name="delimiter">Null: comma-separated text whose delimiter is to be found.</param>
    private DelimitedText(string path, byte? delimiter, FileFaults faults)
    {
        _path = path;
        _faults = faults;
        _quotes = delimiter is null;
        _delimiter = delimiter ?? Sniff(path);
        _plainStops = SearchValues.Create([_delimiter, (byte)'\n', (byte)'\r', 0]);
        _bytes = new(path);
    }

    /// <exception cref="FaultException">While enumerating.</exception>
    public static IEnumerable<DataRow> Read(string path, byte? delimiter, FileFaults faults)
    {
        using var text = new DelimitedText(path, delimiter, faults);
        var columns = text.Header();
        while (text.Record() is { } record)
        {
            if (record.Cells.Length != columns.Count)
                faults.Add(
                    record.Line, $"{record.Cells.Length} fields", $"The header has {columns.Count} columns.",
                    text._quotes ? "Add or remove a field; quote a field that contains the delimiter." : "Add or remove a field.");
            else if (!faults.Has(record.Line))
                yield return new(record.Line, record.Cells, columns);
        }
        faults.ThrowIfAny();
    }

    public void Dispose() => _bytes.Dispose();

    private Dictionary<string, int> Header()
    {
        var header = Record() ?? throw new FaultException(DataFile.At(_path, 1), null, "The file is empty.", "Give a header line with column names, then a row a line.");
        var columns = new Dictionary<string, int>(header.Cells.Length);
        var faults = new FaultList();
        for (var at = 0; at < header.Cells.Length; at++)
        {
            var name = ((string?)header.Cells[at])?.Trim() ?? "";
            if (name.Length == 0)
                faults.Add(DataFile.At(_path, header.Line), $"column {at + 1}", "The column has no name.", "Name every column in the first line.");
            else if (!columns.TryAdd(name, at))
                faults.Add(DataFile.At(_path, header.Line), name, "Two columns have this name.", "Rename one of them.");
        }
        faults.Require(header.Cells.Length <= DataFile.MaxColumns, DataFile.At(_path, 1), header.Cells.Length, $"There are more than {DataFile.MaxColumns} columns.", "Keep the columns that matter.");
        faults.ThrowIfAny();
        return columns;
    }

    /// <returns>The next record that is not an empty line; null at the end.</returns>
    private (long Line, object?[] Cells)? Record()
    {
        while (_bytes.Peek() is '\n' or '\r')
            _bytes.Read();
        if (_bytes.Peek() < 0)
            return null;
        var line = _bytes.Line;
        var cells = new List<object?>();
        var length = 0L;
        int ended;
        do
        {
            _field.ResetWrittenCount();
            ended = _quotes && _bytes.Peek() == '"' ? QuotedField(line) : PlainField();
            length += _field.WrittenCount;
            if (cells.Count <= DataFile.MaxColumns) // One more tells that there are too many; a file of delimiters alone has no end of them.
                cells.Add(length > DataFile.MaxRowBytes ? null : Text(line));
        }
        while (ended == _delimiter);
        if (length > DataFile.MaxRowBytes)
            _faults.Add(line, $"{length} bytes", $"The row is longer than {DataFile.MaxRowBytes} bytes.", "Split it, or look for a quote that is never closed.");
        return (line, [.. cells]);
    }

    private string Text(long line)
    {
        var bytes = _field.WrittenSpan;
        if (Utf8.IsValid(bytes) && !bytes.Contains((byte)0))
            return Encoding.UTF8.GetString(bytes);
        if (bytes.Contains((byte)0))
            _faults.Add(line, "NUL", "The row contains a NUL character.", "Save the file as UTF-8 text.");
        else
            _faults.Add(line, Convert.ToHexString(bytes[..Math.Min(bytes.Length, 16)]), "The row is not valid UTF-8.", "Save the file as UTF-8 (for example: iconv -f WINDOWS-1252 -t UTF-8).");
        return "";
    }

    /// <returns>The byte that ended the field: the delimiter, a line feed, or −1.</returns>
    private int PlainField()
    {
        while (true)
        {
            Append(_bytes.ReadUntil(_plainStops));
            var next = _bytes.Peek();
            if (next == -1 || next == _delimiter || next == '\n')
                return _bytes.Read();
            if (next == '\r' || next == 0 || _plainStops.Contains((byte)next))
            {
                _bytes.Read();
                if (next == '\r' && _bytes.Peek() is '\n' or -1)
                    return _bytes.Read();
                Append([(byte)next]);
            }
        }
    }

    /// <inheritdoc cref="PlainField"/>
    private int QuotedField(long line)
    {
        _bytes.Read();
        while (true)
        {
            Append(_bytes.ReadUntil(QuotedStops));
            switch (_bytes.Read())
            {
                case -1:
                    _faults.Add(line, null, "A quoted field that begins in this row is never closed.", "Close it with a quote; double a quote that is meant as text.");
                    return -1;
                case '"' when _bytes.Peek() == '"':
                    _bytes.Read();
                    Append("\""u8);
                    break;
                case '"':
                    return AfterQuote(line);
                case '\n':
                    Append("\n"u8);
                    break;
                case var other: // NUL, or the first byte after the end of what was buffered.
                    Append([(byte)other]);
                    break;
            }
        }
    }

    private int AfterQuote(long line)
    {
        var next = _bytes.Read();
        if (next == '\r')
            next = _bytes.Read();
        if (next == _delimiter || next is '\n' or -1)
            return next;
        _faults.Add(line, ((char)next).ToString(), "Text follows a closing quote.", "Double a quote that is meant as text.");
        return PlainField();
    }

    /// <summary>A row beyond the limit is still read to its end, so that the next one is found, but no longer kept.</summary>
    private void Append(ReadOnlySpan<byte> bytes)
    {
        if (_field.WrittenCount <= DataFile.MaxRowBytes)
            _field.Write(bytes);
    }

    /// <summary>The delimiter that the header has most of: a comma, a semicolon or a tab.</summary>
    public static byte Sniff(string path)
    {
        using var bytes = new ByteLines(path);
        Span<int> counts = stackalloc int[256];
        var quoted = false;
        for (var next = bytes.Read(); next >= 0 && (next != '\n' || quoted); next = bytes.Read())
            if (next == '"')
                quoted = !quoted;
            else if (!quoted)
                counts[next]++;
        byte best = (byte)',';
        foreach (var candidate in ";\t"u8)
            if (counts[candidate] > counts[best])
                best = candidate;
        return best;
    }
}
