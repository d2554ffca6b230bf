using System.Text;

namespace FineTuneService.Training.Tokenization;

/// <summary>A text under way: UTF-16 units, each with the range of the original (in UTF-16 units too) that it stands for.</summary>
/// <remarks>After <c>tokenizers/src/tokenizer/normalizer.rs</c>, whose alignments are per UTF-8 byte. The text is always well-formed.</remarks>
internal sealed class NormalizedString(int capacity)
{
    private char[] _chars = new char[Math.Max(capacity, 16)];
    private (int Start, int End)[] _origins = new (int, int)[Math.Max(capacity, 16)];

    public int Length { get; private set; }

    public ReadOnlySpan<char> Chars => _chars.AsSpan(0, Length);

    public ReadOnlySpan<(int Start, int End)> Origins => _origins.AsSpan(0, Length);

    /// <summary>The part of an original text from <paramref name="start"/> on, nothing changed yet.</summary>
    public static NormalizedString Of(ReadOnlySpan<char> text, int start)
    {
        var result = new NormalizedString(text.Length) { Length = text.Length };
        text.CopyTo(result._chars);
        for (var i = 0; i < text.Length; i++)
        {
            if (!char.IsHighSurrogate(text[i]))
                result._origins[i] = (start + i, start + i + 1);
            else
            {
                result._origins[i] = result._origins[i + 1] = (start + i, start + i + 2);
                i++;
            }
        }
        return result;
    }

    /// <summary>The scalar at <paramref name="index"/>; its length follows from <see cref="UnicodeClasses.Width"/>.</summary>
    public int ScalarAt(int index) => UnicodeClasses.ScalarAt(Chars, index);

    public void Add(char unit, (int Start, int End) origin)
    {
        if (Length == _chars.Length)
            Grow(Length + 1);
        _chars[Length] = unit;
        _origins[Length++] = origin;
    }

    public void AddScalar(int scalar, (int Start, int End) origin)
    {
        if (scalar <= char.MaxValue)
        {
            Add((char)scalar, origin);
            return;
        }
        Span<char> units = stackalloc char[2];
        new Rune(scalar).EncodeToUtf16(units);
        Add(units, origin);
    }

    public void Add(ReadOnlySpan<char> units, (int Start, int End) origin)
    {
        foreach (var unit in units)
            Add(unit, origin);
    }

    public void AddRange(NormalizedString source, int start, int end)
    {
        var length = end - start;
        if (Length + length > _chars.Length)
            Grow(Length + length);
        source.Chars[start..end].CopyTo(_chars.AsSpan(Length));
        source.Origins[start..end].CopyTo(_origins.AsSpan(Length));
        Length += length;
    }

    /// <summary>Writes one unit for another from <paramref name="start"/> on.</summary>
    public void Replace(int start, char old, char replacement) => _chars.AsSpan(start, Length - start).Replace(old, replacement);

    /// <summary>
    /// The text rewritten scalar by scalar. A change of 0 replaces the next old scalar, 1 inserts, and -n replaces one and drops the n after it.
    /// An inserted scalar stands for what the one before it stood for.
    /// </summary>
    public NormalizedString Transform(List<(int Scalar, int Change)> scalars)
    {
        var result = new NormalizedString(Length);
        if (Length == 0)
            return result;
        var next = 0;
        foreach (var (scalar, change) in scalars)
        {
            var at = change > 0 ? next - 1 : next;
            var origin = at < 0 ? (_origins[0].Start, _origins[0].Start) : _origins[Math.Min(at, Length - 1)];
            for (var consumed = change; consumed <= 0 && next < Length; consumed++)
                next += UnicodeClasses.Width(ScalarAt(next));
            result.AddScalar(scalar, origin);
        }
        return result;
    }

    private void Grow(int atLeast)
    {
        var capacity = Math.Max(atLeast, _chars.Length * 2);
        Array.Resize(ref _chars, capacity);
        Array.Resize(ref _origins, capacity);
    }
}
