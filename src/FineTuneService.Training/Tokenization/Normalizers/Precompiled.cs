using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;

namespace FineTuneService.Training.Tokenization.Normalizers;

/// <summary>
/// sentencepiece's charsmap: a Darts double array from UTF-8 to offsets into a table of replacements, each ended by a NUL.
/// Whole graphemes under 6 bytes are tried first, then their scalars; the shortest prefix found wins (spm_precompiled, which says why not to ask).
/// </summary>
internal sealed class Precompiled : Normalizer
{
    private readonly uint[] _units;
    private readonly byte[] _replacements;
    private readonly int[]?[] _ascii;

    private Precompiled(uint[] units, byte[] replacements)
    {
        (_units, _replacements) = (units, replacements);
        _ascii = [.. Enumerable.Range(0, 0x80).Select(value => Find([(byte)value]))];
    }

    public static new Precompiled Read(JsonSection section)
    {
        var member = section.Get("precompiled_charsmap");
        if (member.Element.ValueKind != JsonValueKind.String || !member.Element.TryGetBytesFromBase64(out var map) || map.Length < 4
            || BinaryPrimitives.ReadUInt32LittleEndian(map) is var size && (size % 4 != 0 || size == 0 || size > map.Length - 4))
            throw member.Fault("This is not a sentencepiece character map in base64.", "Download the file again.");
        var units = new uint[size / 4];
        for (var i = 0; i < units.Length; i++)
            units[i] = BinaryPrimitives.ReadUInt32LittleEndian(map.AsSpan(4 + 4 * i));
        return new(units, map[(4 + (int)size)..]);
    }

    public override NormalizedString Normalize(NormalizedString text)
    {
        List<(int Scalar, int Change)> scalars = new(text.Length);
        var modified = false;
        Span<byte> bytes = stackalloc byte[8];
        Span<char> units = stackalloc char[2];
        for (int i = 0, length; i < text.Length; i += length)
        {
            var rest = text.Chars[i..];
            if (rest[0] < 0x80 && (rest.Length == 1 || rest[1] < 0x80) && rest is not ['\r', '\n', ..])
            {
                length = 1;
                modified |= Replace(scalars, _ascii[rest[0]], rest[..1]);
                continue;
            }
            length = StringInfo.GetNextTextElementLength(rest);
            var grapheme = rest[..length];
            if (length < 6 && System.Text.Encoding.UTF8.GetByteCount(grapheme) < 6
                && Find(bytes[..System.Text.Encoding.UTF8.GetBytes(grapheme, bytes)]) is { } whole)
            {
                modified |= Replace(scalars, whole, grapheme);
                continue;
            }
            foreach (var rune in grapheme.EnumerateRunes())
            {
                var part = units[..rune.EncodeToUtf16(units)];
                modified |= Replace(scalars, Find(bytes[..rune.EncodeToUtf8(bytes)]), part);
            }
        }
        return modified ? text.Transform(scalars) : text;
    }

    private static bool Replace(List<(int Scalar, int Change)> scalars, int[]? replacement, ReadOnlySpan<char> old)
    {
        if (replacement is null)
        {
            scalars.Add((UnicodeClasses.ScalarAt(old, 0), 0));
            return false;
        }
        var oldCount = 0;
        foreach (var _ in old.EnumerateRunes())
            oldCount++;
        for (var i = 0; i < replacement.Length; i++)
            scalars.Add((replacement[i], i < oldCount ? 0 : 1));
        if (replacement.Length < oldCount && scalars.Count > 0)
            scalars[^1] = (scalars[^1].Scalar, scalars[^1].Change + replacement.Length - oldCount);
        return true;
    }

    /// <summary>What the shortest prefix of <paramref name="key"/> that the trie knows is replaced by, or null.</summary>
    private int[]? Find(ReadOnlySpan<byte> key)
    {
        var at = Offset(_units[0]);
        foreach (var label in key)
        {
            at ^= label;
            if (label == 0 || at >= _units.Length || (_units[at] & 0x8000_00FF) != label)
                return null;
            var unit = _units[at];
            at ^= Offset(unit);
            if ((unit >> 8 & 1) == 1)
                return at < _units.Length ? Replacement(_units[at] & 0x7FFF_FFFF) : null;
        }
        return null;
    }

    private int[] Replacement(uint start)
    {
        var text = _replacements.AsSpan((int)Math.Min(start, _replacements.Length));
        var end = text.IndexOf((byte)0);
        return [.. System.Text.Encoding.UTF8.GetString(end < 0 ? text : text[..end]).EnumerateRunes().Select(rune => rune.Value)];
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & 1 << 9) >> 6);
}
