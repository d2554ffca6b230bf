using System.Text;

namespace FineTuneService.Training.Tokenization;

/// <summary>GPT-2's printable stand-in for each byte (<c>bytes_to_unicode</c> of openai/gpt-2, encoder.py).</summary>
internal static class ByteLevelAlphabet
{
    /// <summary>The stand-in of the space, with which most words begin.</summary>
    public const char Space = '\u0120';

    private static readonly char[] OfByte = CreateOfByte();
    private static readonly short[] OfChar = CreateOfChar();

    public static char Encode(byte value) => OfByte[value];

    /// <summary>Appends the text, every byte of its UTF-8 as one unit that stands for the byte's scalar.</summary>
    public static void Encode(NormalizedString source, int start, int end, NormalizedString target)
    {
        Span<byte> bytes = stackalloc byte[4];
        for (int i = start, width; i < end; i += width)
        {
            var unit = source.Chars[i];
            width = 1;
            if (unit < 0x80)
            {
                target.Add(OfByte[unit], source.Origins[i]);
                continue;
            }
            var scalar = source.ScalarAt(i);
            width = UnicodeClasses.Width(scalar);
            var count = new Rune(scalar).EncodeToUtf8(bytes);
            foreach (var value in bytes[..count])
                target.Add(OfByte[value], source.Origins[i]);
        }
    }

    /// <summary>Appends the bytes that a token stands for; a token outside the alphabet stands for its own UTF-8.</summary>
    public static void Decode(string token, List<byte> bytes)
    {
        var known = bytes.Count;
        foreach (var unit in token)
        {
            if (unit >= OfChar.Length || OfChar[unit] < 0)
            {
                bytes.RemoveRange(known, bytes.Count - known);
                bytes.AddRange(System.Text.Encoding.UTF8.GetBytes(token));
                return;
            }
            bytes.Add((byte)OfChar[unit]);
        }
    }

    private static char[] CreateOfByte()
    {
        var next = 256;
        return [.. Enumerable.Range(0, 256).Select(value => (char)(value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE ? value : next++))];
    }

    private static short[] CreateOfChar()
    {
        var bytes = new short[OfByte.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (var value = 0; value < 256; value++)
            bytes[OfByte[value]] = (short)value;
        return bytes;
    }
}
