using System.Collections;
using System.Text.Json;
using FineTuneService.Contracts;
using Parquet;
using Parquet.Serialization;

namespace FineTuneService.Training.Data;

/// <summary>
/// Apache Parquet, a row group at a time; a row's line is its number, from 1. Lists and structures are JSON. Where Hugging Face <c>datasets</c> has left the names of classes
/// in the file (the key <c>huggingface</c> of its metadata), they stand in place of the numbers, and −1, which means no label, is nothing.
/// </summary>
internal static class ParquetRows
{
    /// <summary>What a row group may take when it is unpacked, as all of it is in memory at once.</summary>
    private const long MaxGroupBytes = 1L << 30;

    /// <exception cref="FaultException">While enumerating.</exception>
    public static IEnumerable<DataRow> Read(string path, FileFaults faults)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        using var reader = new Opened(path, file);
        var columns = reader.Columns.Index().ToDictionary(column => column.Item, column => column.Index);
        var line = 0L;
        for (var group = 0; group < reader.Groups; group++)
            foreach (var row in reader.Rows(group))
            {
                line++;
                object?[] cells = [.. reader.Columns.Select(column => reader.Cell(column, row.TryGetValue(column, out var value) ? value : null))];
                if (cells.Sum(cell => cell is string text ? text.Length : 0L) > DataFile.MaxRowBytes)
                    faults.Add(line, null, $"The row is longer than {DataFile.MaxRowBytes} characters.", "Split it.");
                else
                    yield return new(line, cells, columns);
            }
        faults.ThrowIfAny();
        if (line == 0)
            throw new FaultException(DataFile.At(path, 1), null, "The file is empty.", "Write a row at least.");
    }

    /// <summary>The library is asynchronous throughout; on a file nothing waits for anybody, and rows are read in turn.</summary>
    private sealed class Opened : IDisposable
    {
        private readonly string _path;
        private readonly FileStream _file;
        private readonly ParquetReader _reader;
        private readonly Dictionary<string, string[]> _classes;

        public Opened(string path, FileStream file)
        {
            (_path, _file) = (path, file);
            _reader = Sound(() => ParquetReader.CreateAsync(file, leaveStreamOpen: true));
            Columns = [.. Sound(() => Task.FromResult(_reader.Schema)).Fields.Select(field => field.Name)]; // Decoded only now.
            if (Columns.Count > DataFile.MaxColumns)
                throw new FaultException(DataFile.At(path, 1), null, $"There are more than {DataFile.MaxColumns} columns.", "Keep the columns that matter.");
            _classes = ClassNames(_reader.CustomMetadata.GetValueOrDefault("huggingface"));
        }

        public IReadOnlyList<string> Columns { get; }

        public int Groups => _reader.RowGroupCount;

        public IList<Dictionary<string, object>> Rows(int group)
        {
            var bytes = _reader.RowGroups[group].RowGroup.TotalByteSize;
            return bytes <= MaxGroupBytes
                ? Sound(() => ParquetSerializer.DeserializeUntypedAsync(_file, rowGroupIndex: group)).Data
                : throw new FaultException(DataFile.At(_path, 1), $"{bytes} bytes", "A row group is too large to be read at once.", "Write it with smaller row groups, such as 10,000 rows.");
        }

        public object? Cell(string column, object? value) => value switch
        {
            null => null,
            string text => text,
            ReadOnlyMemory<char> text => text.ToString(),
            bool truth => truth,
            sbyte or short or int or long or byte or ushort or uint => Named(column, Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture)),
            float or double or decimal or ulong => Convert.ToDouble(value, System.Globalization.CultureInfo.InvariantCulture),
            IFormattable other => other.ToString(null, System.Globalization.CultureInfo.InvariantCulture),
            byte[] bytes => System.Text.Encoding.UTF8.GetString(bytes),
            ReadOnlyMemory<byte> bytes => System.Text.Encoding.UTF8.GetString(bytes.Span),
            IDictionary or IList => JsonSerializer.SerializeToElement(Nested(column, value), SnakeCaseJson.Options),
            _ => value.ToString(),
        };

        private object? Nested(string column, object? value) => value switch
        {
            byte[] => Cell(column, value),
            IDictionary map => map.Keys.Cast<object>().ToDictionary(key => key.ToString()!, key => Nested(column, map[key])),
            IList list => list.Cast<object?>().Select(item => Nested(column, item)).ToList(),
            _ => Cell(column, value),
        };

        public void Dispose() => _reader.DisposeAsync().AsTask().GetAwaiter().GetResult();

        private object? Named(string column, long number) => !_classes.TryGetValue(column, out var names) ? number : number >= 0 && number < names.Length ? names[number] : number == -1 ? null : number;

        private T Sound<T>(Func<Task<T>> read)
        {
            try
            {
                return read().GetAwaiter().GetResult();
            }
            catch (Exception error) when (error is not OutOfMemoryException and not FaultException)
            {
                throw new FaultException(DataFile.At(_path, 1), null, $"The file is no sound Parquet: {error.Message}", "Write it again, for example with datasets' to_parquet.");
            }
        }

        /// <summary><c>{"info": {"features": {"label": {"names": […], "_type": "ClassLabel"}}}}</c>; of lists the feature of their items.</summary>
        private static Dictionary<string, string[]> ClassNames(string? metadata)
        {
            var classes = new Dictionary<string, string[]>();
            if (metadata is null)
                return classes;
            try
            {
                using var json = JsonDocument.Parse(metadata);
                if (json.RootElement.TryGetProperty("info", out var info) && info.TryGetProperty("features", out var features) && features.ValueKind == JsonValueKind.Object)
                    foreach (var feature in features.EnumerateObject())
                        if (Names(feature.Value) is { } names)
                            classes.Add(feature.Name, names);
            }
            catch (JsonException)
            {
                // Somebody else's key of the same name: the numbers stay.
            }
            return classes;
        }

        private static string[]? Names(JsonElement feature) => feature.ValueKind switch
        {
            JsonValueKind.Array when feature.GetArrayLength() == 1 => Names(feature[0]),
            JsonValueKind.Object when feature.TryGetProperty("names", out var names) && names.ValueKind == JsonValueKind.Array => [.. names.EnumerateArray().Select(name => name.ToString())],
            JsonValueKind.Object when feature.TryGetProperty("feature", out var items) => Names(items),
            _ => null,
        };
    }
}
