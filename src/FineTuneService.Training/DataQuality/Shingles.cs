namespace FineTuneService.Training.DataQuality;

/// <summary>
/// A text as the set of its shingles (Broder 1997), hashed: letters and digits only, in small letters. Short texts as their words, pairs of neighbouring words, and trigrams
/// of the words' letters, so that a typing error or a word leaves most of them, and other words in between do not; long ones as triples of words, as unlike long texts share most
/// trigrams. Between the two lengths a text is both.
/// </summary>
internal static class Shingles
{
    private const int LongFrom = 48, ShortTo = 80; // words
    private const uint Beginning = 0x2, End = 0x3;

    /// <returns>Each sorted and distinct; empty where the text is not of that length, or has no word.</returns>
    public static (uint[] Letters, uint[] Words) Of(string text, List<uint> words)
    {
        words.Clear();
        var letters = new List<uint>(Math.Min(text.Length, 512));
        ulong word = 0;
        uint before = Beginning, last = 0;
        foreach (var next in text)
        {
            if (next is '\'' or '’')
                continue;
            if (!char.IsLetterOrDigit(next) && !char.IsSurrogate(next))
            {
                Close();
                continue;
            }
            var letter = (uint)char.ToLowerInvariant(next);
            if (last != 0 && words.Count < ShortTo)
                letters.Add(Mix(((ulong)before << 32) | (last << 16) | letter));
            (before, last) = (last == 0 ? Beginning : last, letter);
            word = (word ^ letter) * 0x9E3779B97F4A7C15 + 1;
        }
        Close();
        if (words.Count is > 0 and <= ShortTo)
            letters.Add(Pair(words[^1], End));
        return (words.Count <= ShortTo ? Set(letters) : [], words.Count >= LongFrom ? Triples(words) : []);

        void Close()
        {
            if (last == 0)
                return;
            var whole = Mix(word);
            if (words.Count < ShortTo)
                letters.AddRange([Mix(((ulong)before << 32) | (last << 16) | End), whole, Pair(words.Count == 0 ? Beginning : words[^1], whole)]);
            words.Add(whole);
            (word, before, last) = (0, Beginning, 0);
        }
    }

    /// <summary>|A ∩ B| / |A ∪ B| of two sorted sets.</summary>
    public static double Jaccard(ReadOnlySpan<uint> a, ReadOnlySpan<uint> b)
    {
        var (left, right, shared) = (0, 0, 0);
        while (left < a.Length && right < b.Length)
        {
            var (one, other) = (a[left], b[right]);
            shared += one == other ? 1 : 0;
            left += one <= other ? 1 : 0;
            right += other <= one ? 1 : 0;
        }
        return a.Length + b.Length == 0 ? 0 : (double)shared / (a.Length + b.Length - shared);
    }

    private static uint Pair(uint word, uint next) => Mix(((ulong)word * 31) + next + (1UL << 63));

    private static uint[] Triples(List<uint> words)
    {
        var triples = new List<uint>(words.Count);
        for (var at = 2; at < words.Count; at++)
            triples.Add(Mix((((ulong)words[at - 2] * 31 + words[at - 1]) * 31) + words[at]));
        return Set(triples);
    }

    private static uint[] Set(List<uint> hashes)
    {
        hashes.Sort();
        var set = new uint[hashes.Count];
        var count = 0;
        foreach (var hash in hashes)
            if (count == 0 || set[count - 1] != hash)
                set[count++] = hash;
        return set[..count];
    }

    /// <summary>The upper half of a finalizer of MurmurHash3.</summary>
    private static uint Mix(ulong value)
    {
        value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCD;
        value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53;
        return (uint)(value >> 32);
    }
}
