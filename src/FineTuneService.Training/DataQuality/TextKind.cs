using System.Buffers;
using System.Globalization;

namespace FineTuneService.Training.DataQuality;

/// <summary>Whether a text is one: sentences, or markup, encoded bytes, marks and noise.</summary>
internal enum TextKind : byte { Text, Markup, Encoded, Address, Symbols, Repetition, Garbled }

internal static class TextKinds
{
    private const int ShortestJudged = 8;
    private const int LongestJudged = 20_000;
    private const int LongWord = 40;

    private static readonly SearchValues<char> Encoding64 = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_");

    public static TextKind Of(string text)
    {
        var judged = text.AsSpan(0, Math.Min(text.Length, LongestJudged)).Trim();
        if (judged.Length < ShortestJudged)
            return TextKind.Text;
        var (letters, spaces, odd, tagged, encoded, longest) = (0, 0, 0, 0, 0, 0);
        Span<int> counts = stackalloc int[128];
        for (int at = 0, word = 0; at < judged.Length; at++)
        {
            var next = judged[at];
            counts[next & 127]++;
            var isSpace = char.IsWhiteSpace(next);
            if (char.IsLetter(next) || char.GetUnicodeCategory(next) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark)
                letters++;
            else if (isSpace)
                spaces++;
            else if (next == '\uFFFD' || (char.IsControl(next) && !isSpace))
                odd++;
            if (next == '<' && Tag(judged[at..]) is var tag)
                tagged += tag;
            if (!isSpace && at + 1 < judged.Length)
                continue;
            var end = isSpace ? at : at + 1;
            if (end - word >= LongWord && IsEncoded(judged[word..end]))
                encoded += end - word;
            longest = Math.Max(longest, end - word);
            word = at + 1;
        }
        var solid = judged.Length - spaces;
        if (odd * 20 > solid)
            return TextKind.Garbled;
        if (tagged * 4 > judged.Length)
            return TextKind.Markup;
        if (encoded * 2 > solid)
            return TextKind.Encoded;
        if (longest == judged.Length && (judged.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || judged.StartsWith("https://", StringComparison.OrdinalIgnoreCase)))
            return TextKind.Address;
        if (letters * 5 < solid * 2)
            return TextKind.Symbols;
        return judged.Length >= 12 && Entropy(counts, judged.Length) < 1.8 ? TextKind.Repetition : TextKind.Text;
    }

    /// <summary>Characters of the tag that begins here; 0: none does.</summary>
    private static int Tag(ReadOnlySpan<char> text)
    {
        if (text.Length < 3 || !(char.IsAsciiLetter(text[1]) || text[1] is '/' or '!'))
            return 0;
        var end = text[..Math.Min(text.Length, 300)].IndexOf('>');
        return end < 0 ? 0 : end + 1;
    }

    /// <summary>Base64 or hexadecimal digits: capitals, small letters and digits by turns, or digits by the dozen.</summary>
    private static bool IsEncoded(ReadOnlySpan<char> word)
    {
        if (word.ContainsAnyExcept(Encoding64))
            return false;
        var (digits, capitals, changes) = (0, 0, 0);
        for (var at = 0; at < word.Length; at++)
        {
            digits += char.IsAsciiDigit(word[at]) ? 1 : 0;
            capitals += char.IsAsciiLetterUpper(word[at]) ? 1 : 0;
            changes += at > 0 && char.IsAsciiLetterUpper(word[at]) != char.IsAsciiLetterUpper(word[at - 1]) ? 1 : 0;
        }
        return digits * 5 > word.Length || (capitals * 5 > word.Length && changes * 4 > word.Length);
    }

    /// <summary>Bits a character, over classes of 128: sentences have about four.</summary>
    private static double Entropy(ReadOnlySpan<int> counts, int total)
    {
        var bits = 0.0;
        foreach (var count in counts)
            if (count > 0)
                bits -= (double)count / total * Math.Log2((double)count / total);
        return bits;
    }
}
