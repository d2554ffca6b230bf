using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>What one pass over a file tells: enough to check a job specification against it, and to show a person what it holds.</summary>
public sealed record DatasetProfile
{
    /// <summary><c>csv</c>, <c>tsv</c>, <c>jsonl</c> or <c>parquet</c>.</summary>
    public required string Format { get; init; }
    public required long Rows { get; init; }
    public required IReadOnlyList<ColumnProfile> Columns { get; init; }

    /// <summary>The first ten rows by column; long texts are shortened.</summary>
    public required IReadOnlyList<IReadOnlyDictionary<string, string?>> FirstRows { get; init; }
}

/// <summary>What a column's cells are; <c>mixed</c> when they differ.</summary>
public enum ColumnKind { Empty, String, Integer, Number, Boolean, List, Object, Mixed }

public sealed record ColumnProfile
{
    public required string Name { get; init; }

    /// <summary>In csv and tsv, text that reads as a number counts as one.</summary>
    public required ColumnKind Kind { get; init; }

    /// <summary>Rows without a value.</summary>
    public required long Empty { get; init; }

    /// <summary>Different values, counted up to 1,000, and no further than is sensible in a file of very many columns; <see cref="DistinctIsMore"/> says that there are more.</summary>
    public required int Distinct { get; init; }
    public required bool DistinctIsMore { get; init; }

    /// <summary>How often each value occurs, the most frequent first; null when there are more than were counted.</summary>
    public IReadOnlyDictionary<string, long>? Counts { get; init; }

    /// <summary>Characters of the shortest, the longest and the mean value; only for text.</summary>
    public int? MinLength { get; init; }
    public int? MaxLength { get; init; }
    public double? MeanLength { get; init; }
}

/// <summary>Profiles a file in one streaming pass; memory does not grow with the file.</summary>
public static class DatasetProfiler
{
    private const int FirstRows = 10;
    private const int ShownLength = 200;

    /// <exception cref="FaultException">With the faults of the file, or when it has no rows.</exception>
    public static DatasetProfile Profile(string path)
    {
        var file = DataFile.Open(path);
        var columns = new List<ColumnCounter>();
        var room = new Room();
        var first = new List<IReadOnlyDictionary<string, string?>>();
        long rows = 0;
        foreach (var row in file.Rows())
        {
            foreach (var (name, at) in row.Columns)
            {
                if (at == columns.Count)
                    columns.Add(new ColumnCounter(name, rows, room));
                columns[at].Add(at < row.Cells.Length ? row.Cells[at] : null);
            }
            if (rows++ < FirstRows)
                first.Add(row.Columns.Keys.ToDictionary(name => name, name => CellText.Of(row[name]) is { Length: > ShownLength } text ? text[..ShownLength] + "…" : CellText.Of(row[name])));
        }
        if (rows == 0)
            throw new FaultException(DataFile.At(path, 1), null, "The file has no rows.", "Add rows below the header.");
        return new() { Format = file.Format, Rows = rows, Columns = [.. columns.Select(column => column.Profile())], FirstRows = first };
    }

    /// <summary>For the different values of all columns together: a thousand columns of a thousand long values each are no labels, and would fill memory and the database.</summary>
    private sealed class Room
    {
        private int _characters = 4_000_000;

        public bool Take(int characters) => (_characters -= characters) >= 0;
    }

    private sealed class ColumnCounter(string name, long rowsBefore, Room room)
    {
        private const int MaxDistinct = 1000;
        private const int MaxCountedLength = 256;

        private readonly Dictionary<string, long> _counts = [];
        private ColumnKind _kind = ColumnKind.Empty;
        private long _empty = rowsBefore, _values, _characters;
        private int _min = int.MaxValue, _max;
        private bool _more;

        public void Add(object? cell)
        {
            if (CellText.Of(cell) is not { } text || string.IsNullOrWhiteSpace(text))
            {
                _empty++;
                return;
            }
            _kind = Join(_kind, KindOf(cell!));
            _values++;
            _characters += text.Length;
            (_min, _max) = (Math.Min(_min, text.Length), Math.Max(_max, text.Length));
            if (_more)
                return;
            // Long values are no labels: kept short, so that a thousand of them stay small.
            var key = text.Length > MaxCountedLength ? text[..MaxCountedLength] : text;
            if (_counts.TryGetValue(key, out var count))
                _counts[key] = count + 1;
            else if (_counts.Count < MaxDistinct && room.Take(key.Length))
                _counts.Add(key, 1);
            else
                _more = true;
        }

        public ColumnProfile Profile() => new()
        {
            Name = name,
            Kind = _kind,
            Empty = _empty,
            Distinct = _counts.Count,
            DistinctIsMore = _more,
            Counts = _more || _max > MaxCountedLength ? null : _counts.OrderByDescending(entry => entry.Value).ThenBy(entry => entry.Key, StringComparer.Ordinal).ToDictionary(),
            MinLength = _kind == ColumnKind.String ? _min : null,
            MaxLength = _kind == ColumnKind.String ? _max : null,
            MeanLength = _kind == ColumnKind.String ? Math.Round((double)_characters / _values, 1) : null,
        };

        private static ColumnKind KindOf(object cell) => cell switch
        {
            bool => ColumnKind.Boolean,
            long => ColumnKind.Integer,
            double => ColumnKind.Number,
            JsonElement { ValueKind: JsonValueKind.Array } => ColumnKind.List,
            JsonElement => ColumnKind.Object,
            string text when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _) => ColumnKind.Integer,
            string text when CellText.TryNumber(text, out _) => ColumnKind.Number,
            _ => ColumnKind.String,
        };

        private static ColumnKind Join(ColumnKind known, ColumnKind next) => (known, next) switch
        {
            (ColumnKind.Empty, _) => next,
            _ when known == next => known,
            (ColumnKind.Integer, ColumnKind.Number) or (ColumnKind.Number, ColumnKind.Integer) => ColumnKind.Number,
            (ColumnKind.String, ColumnKind.Integer or ColumnKind.Number) or (ColumnKind.Integer or ColumnKind.Number, ColumnKind.String) => ColumnKind.String,
            _ => ColumnKind.Mixed,
        };
    }
}

/// <summary>Cells as text and as numbers, in the invariant culture.</summary>
internal static class CellText
{
    public static string? Of(object? cell) => cell switch
    {
        null => null,
        string text => text,
        bool truth => truth ? "true" : "false",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => cell.ToString(),
    };

    public static bool TryNumber(string text, out double number) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out number) && double.IsFinite(number);
}
