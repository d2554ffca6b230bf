using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>JSON Lines: an object a line, whose members are the columns; rows may lack some. Empty lines are skipped.</summary>
internal static class JsonLines
{
    private static readonly SearchValues<byte> LineEnd = SearchValues.Create("\n"u8);
    private static readonly JsonReaderOptions Strict = new() { MaxDepth = 32 };

    /// <exception cref="FaultException">While enumerating.</exception>
    public static IEnumerable<DataRow> Read(string path, FileFaults faults)
    {
        using var bytes = new ByteLines(path);
        var columns = new Dictionary<string, int>();
        var text = new ArrayBufferWriter<byte>();
        while (bytes.Peek() >= 0)
        {
            var line = bytes.Line;
            if (!ReadLine(bytes, text))
                faults.Add(line, null, $"The row is longer than {DataFile.MaxRowBytes} bytes.", "Split it, or write one object a line.");
            else if (!text.WrittenSpan.Trim(" \t\r"u8).IsEmpty && Parse(text.WrittenSpan, columns, line, faults) is { } cells)
                yield return new(line, cells, columns);
        }
        faults.ThrowIfAny();
        if (bytes.Line == 1 && columns.Count == 0)
            throw new FaultException(DataFile.At(path, 1), null, "The file is empty.", "Write an object a line.");
    }

    private static bool ReadLine(ByteLines bytes, ArrayBufferWriter<byte> text)
    {
        text.ResetWrittenCount();
        var fits = true;
        while (bytes.Peek() is not ('\n' or -1))
        {
            var part = bytes.ReadUntil(LineEnd);
            fits &= text.WrittenCount + part.Length <= DataFile.MaxRowBytes;
            if (fits)
                text.Write(part);
        }
        bytes.Read();
        return fits;
    }

    private static object?[]? Parse(ReadOnlySpan<byte> json, Dictionary<string, int> columns, long line, FileFaults faults)
    {
        if (!Utf8.IsValid(json))
        {
            faults.Add(line, null, "The row is not valid UTF-8.", "Save the file as UTF-8.");
            return null;
        }
        try
        {
            var reader = new Utf8JsonReader(json, Strict);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                throw new JsonException("expected an object");
            var cells = new object?[columns.Count];
            var seen = new HashSet<string>();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString()!;
                if (name.Contains('\0', StringComparison.Ordinal))
                    throw new JsonException("a NUL character in a member's name");
                if (!seen.Add(name))
                    throw new JsonException($"the member '{name}' appears twice");
                reader.Read();
                if (!columns.TryGetValue(name, out var at))
                {
                    if (columns.Count == DataFile.MaxColumns)
                        throw new JsonException($"more than {DataFile.MaxColumns} different members in the file");
                    columns.Add(name, at = columns.Count);
                }
                if (at >= cells.Length)
                    Array.Resize(ref cells, columns.Count);
                cells[at] = Value(ref reader);
            }
            reader.Read(); // Anything after the object is an error, which the reader tells.
            return cells;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a lone surrogate such as \ud800 is no text.
            faults.Add(line, null, $"The row is not a JSON object: {error.Message}", "Write one valid JSON object a line.");
            return null;
        }
    }

    private static object? Value(ref Utf8JsonReader reader) => reader.TokenType switch
    {
        JsonTokenType.Null => null,
        JsonTokenType.String => reader.GetString()!.Contains('\0', StringComparison.Ordinal) ? throw new JsonException("a NUL character in a string") : reader.GetString(),
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        JsonTokenType.Number => reader.TryGetInt64(out var integer) ? (object)integer : reader.GetDouble(),
        _ => JsonElement.ParseValue(ref reader),
    };
}
