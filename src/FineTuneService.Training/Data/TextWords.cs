using System.Text;
using Encoding = FineTuneService.Training.Tokenization.Encoding;

namespace FineTuneService.Training.Data;

/// <summary>Which word of a text each of its tokens belongs to.</summary>
internal static class TextWords
{
    /// <summary>
    /// The words of a text, as ranges of code points: what stands between white space, without the punctuation around it, each mark of which is a word of its own,
    /// as is each ideograph. So "Rome," is two words, and "U.N" and "don't" are one each.
    /// </summary>
    public static List<(int Start, int End)> Of(Rune[] text)
    {
        var words = new List<(int, int)>();
        for (var at = 0; at < text.Length;)
        {
            if (Rune.IsWhiteSpace(text[at]))
            {
                at++;
                continue;
            }
            var end = at + 1;
            while (end < text.Length && !Rune.IsWhiteSpace(text[end]))
                end++;
            Divide(at, end);
            at = end;
        }
        return words;

        void Divide(int start, int end)
        {
            var last = end;
            while (last > start && IsMark(text[last - 1]))
                last--;
            for (; start < last && IsMark(text[start]); start++)
                words.Add((start, start + 1));
            for (var at = start; at < last;)
            {
                var next = at + 1;
                while (next < last && !IsIdeograph(text[at]) && !IsIdeograph(text[next]))
                    next++;
                words.Add((at, next));
                at = next;
            }
            for (; last < end; last++)
                words.Add((last, last + 1));
        }
    }

    /// <summary>For each token the index of its word, by the first character that is no white space; −1 for special tokens and for what belongs to none.</summary>
    /// <param name="words">Rising, in code points.</param>
    public static int[] Align(Encoding encoding, Rune[] text, IReadOnlyList<(int Start, int End)> words)
    {
        var owners = new int[encoding.Ids.Length];
        var word = 0;
        for (var token = 0; token < owners.Length; token++)
        {
            owners[token] = -1;
            if (encoding.SpecialTokensMask[token] == 1)
                continue;
            var (at, end) = encoding.Offsets[token];
            while (at < end && Rune.IsWhiteSpace(text[at]))
                at++;
            while (word < words.Count && words[word].End <= at)
                word++;
            if (word < words.Count && words[word].Start <= at && at < end)
                owners[token] = word;
        }
        return owners;
    }

    /// <summary>Whether this token is the first of a word.</summary>
    public static bool BeginsWord(int[] owners, int token) => owners[token] >= 0 && Array.IndexOf(owners, owners[token]) == token;

    private static bool IsMark(Rune rune) => Rune.IsPunctuation(rune) || Rune.IsSymbol(rune);

    private static bool IsIdeograph(Rune rune) => rune.Value is (>= 0x3040 and <= 0x30FF) or (>= 0x3400 and <= 0x9FFF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x20000 and <= 0x3FFFF);
}
