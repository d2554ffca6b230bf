using System.Buffers;
using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>Writes rows in the format in which they were read, in UTF-8 with line feeds.</summary>
internal abstract class RowWriter(Stream file) : IDisposable
{
    public long Rows { get; private set; }

    /// <param name="like">A file of the format, whose delimiter is taken over.</param>
    public static RowWriter Create(string path, ScannedFile like)
    {
        var file = File.Create(path, bufferSize: 1 << 16);
        return DataFile.FormatOf(like.Path) switch
        {
            "jsonl" or "parquet" => new JsonLinesWriter(file),
            "tsv" => new DelimitedWriter(file, '\t', quotes: false),
            _ => new DelimitedWriter(file, (char)DelimitedText.Sniff(like.Readable.Path), quotes: true),
        };
    }

    public void Write(IReadOnlyDictionary<string, int> columns, object?[] cells)
    {
        Write(file, columns, cells, isFirst: Rows == 0);
        Rows++;
    }

    public void Dispose() => file.Dispose();

    protected abstract void Write(Stream file, IReadOnlyDictionary<string, int> columns, object?[] cells, bool isFirst);

    private sealed class JsonLinesWriter(Stream file) : RowWriter(file)
    {
        private readonly ArrayBufferWriter<byte> _line = new();

        protected override void Write(Stream file, IReadOnlyDictionary<string, int> columns, object?[] cells, bool isFirst)
        {
            _line.ResetWrittenCount();
            using (var json = new Utf8JsonWriter(_line, new JsonWriterOptions { Encoder = SnakeCaseJson.Options.Encoder, SkipValidation = true }))
            {
                json.WriteStartObject();
                foreach (var (name, at) in columns)
                    if (at < cells.Length && cells[at] is { } cell)
                    {
                        json.WritePropertyName(name);
                        JsonSerializer.Serialize(json, cell, cell.GetType(), SnakeCaseJson.Options);
                    }
                json.WriteEndObject();
            }
            file.Write(_line.WrittenSpan);
            file.WriteByte((byte)'\n');
        }
    }

    /// <summary>RFC 4180, or without quotes: then no cell has a delimiter or a line break, as none was read with one.</summary>
    private sealed class DelimitedWriter(Stream file, char delimiter, bool quotes) : RowWriter(file)
    {
        private readonly SearchValues<char> _quoted = SearchValues.Create([delimiter, '"', '\n', '\r']);
        private readonly StringBuilder _line = new();

        protected override void Write(Stream file, IReadOnlyDictionary<string, int> columns, object?[] cells, bool isFirst)
        {
            _line.Clear();
            if (isFirst)
                AddLine(columns.OrderBy(column => column.Value).Select(column => (object?)column.Key));
            AddLine(cells);
            file.Write(Encoding.UTF8.GetBytes(_line.ToString()));
        }

        private void AddLine(IEnumerable<object?> cells)
        {
            foreach (var (at, cell) in cells.Index())
            {
                var text = CellText.Of(cell) ?? "";
                if (at > 0)
                    _line.Append(delimiter);
                // A lone empty cell would be an empty line, which is no row.
                if (quotes && (text.AsSpan().ContainsAny(_quoted) || (at == 0 && text.Length == 0)))
                    _line.Append('"').Append(text.Replace("\"", "\"\"", StringComparison.Ordinal)).Append('"');
                else
                    _line.Append(text);
            }
            _line.Append('\n');
        }
    }
}
