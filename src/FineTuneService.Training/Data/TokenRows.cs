using System.Runtime.InteropServices;

namespace FineTuneService.Training.Data;

/// <summary>A text among all tokens of a dataset, or a piece of one.</summary>
public readonly record struct Stretch(long Start, int Length)
{
    /// <summary>
    /// Pieces of at most <paramref name="maxLength"/> tokens. Each but the first begins with the last token of the one before, which is read there and not learnt:
    /// so every token but the very first is predicted exactly once.
    /// </summary>
    public IEnumerable<Stretch> Split(int maxLength)
    {
        for (var start = 0; start == 0 || start + 1 < Length; start += maxLength - 1)
            yield return new(Start + start, Math.Min(maxLength, Length - start));
    }
}

/// <summary>The rows of a split: each of one or several texts. Everything lies in mapped files and is read when a batch needs it.</summary>
public sealed class TokenRows
{
    private readonly Column<int> _ids;
    private readonly Column<int> _marks;
    private readonly Column<long> _starts;
    private readonly Column<int> _lengths;
    private readonly Column<long> _ends;
    private readonly Column<float> _values;
    private readonly Column<long> _lines;

    /// <param name="folder">Of the dataset.</param>
    /// <exception cref="IOException">When a file is not there.</exception>
    internal TokenRows(string folder, string split, Column<int> ids, Column<int> marks)
    {
        (_ids, _marks) = (ids, marks);
        _starts = new(Path.Combine(folder, $"{split}.starts"));
        _lengths = new(Path.Combine(folder, $"{split}.lengths"));
        _ends = new(Path.Combine(folder, $"{split}.ends"));
        _values = new(Path.Combine(folder, $"{split}.values"));
        _lines = new(Path.Combine(folder, $"{split}.lines"));
    }

    public int Count => (int)_ends.Count;

    /// <summary>Whether tokens carry a mark; what it says is the task's: a weight, a type, a word, a label.</summary>
    public bool HasMarks => _marks.Count > 0;

    /// <summary>How many texts a row has.</summary>
    public int Texts(int row) => (int)(_ends[row] - First(row));

    public Stretch Text(int row, int index) => new(_starts[First(row) + index], _lengths[First(row) + index]);

    /// <summary>Tokens of a row.</summary>
    public int Length(int row)
    {
        var length = 0;
        foreach (var part in _lengths.Span(First(row), Texts(row)))
            length += part;
        return length;
    }

    public ReadOnlySpan<int> Ids(Stretch text) => _ids.Span(text.Start, text.Length);

    /// <summary>One for each token; empty without marks.</summary>
    public ReadOnlySpan<int> Marks(Stretch text) => HasMarks ? _marks.Span(text.Start, text.Length) : [];

    /// <summary>Marks that are weights.</summary>
    public ReadOnlySpan<float> Weights(Stretch text) => MemoryMarshal.Cast<int, float>(Marks(text));

    /// <summary>Numbers that belong to the row, as many for each row.</summary>
    public ReadOnlySpan<float> Values(int row)
    {
        var width = (int)(_values.Count / _ends.Count);
        return _values.Span((long)row * width, width);
    }

    /// <summary>Where a row begins in its file; null where rows are no lines.</summary>
    public long? LineOf(int row) => _lines.Count > 0 ? _lines[row] : null;

    private long First(int row) => row == 0 ? 0 : _ends[row - 1];
}
