namespace FineTuneService.Training.DataQuality;

/// <summary>
/// A text as hashed features of a linear classifier: words and pairs of neighbouring words, and in short texts the n-grams of 3 to 5 letters within words.
/// Each feature counts once; a text's features together have length 1.
/// </summary>
internal static class TextFeatures
{
    /// <summary>Texts beyond this are read as far as here.</summary>
    private const int ReadCharacters = 4_000;

    private const int ShortCharacters = 400;
    private const int Bits = 20;

    public const int Space = 1 << Bits;

    private const ulong WordSeed = 0x9E3779B97F4A7C15, PairSeed = 0xC2B2AE3D27D4EB4F, LetterSeed = 0x165667B19E3779F9;

    /// <returns>Sorted and distinct numbers below <see cref="Space"/>.</returns>
    public static int[] Of(string text)
    {
        var features = new List<int>(256);
        var read = text.AsSpan(0, Math.Min(text.Length, ReadCharacters));
        var hasLetters = text.Length <= ShortCharacters;
        Span<char> word = stackalloc char[66];
        var (length, before) = (1, 1UL);
        word[0] = '\u0002';
        for (var at = 0; at <= read.Length; at++)
        {
            var next = at < read.Length ? read[at] : ' ';
            if (char.IsLetterOrDigit(next) || next is '\'' or '’' || char.IsSurrogate(next))
            {
                if (length < 65)
                    word[length++] = char.ToLowerInvariant(next);
                continue;
            }
            if (length > 1)
                Close(word);
            if (next is '!' or '?' or '$' or '€' or '£' or '%')
                features.Add(Fold(next * PairSeed));
        }
        Pair(2);
        features.Sort();
        var distinct = 0;
        for (var at = 0; at < features.Count; at++)
            if (at == 0 || features[at] != features[distinct - 1])
                features[distinct++] = features[at];
        return [.. features[..distinct]];

        void Close(Span<char> word)
        {
            var hash = Hash(word[1..length], WordSeed);
            features.Add(Fold(hash));
            Pair(hash);
            if (hasLetters)
            {
                word[length++] = '\u0003';
                for (var size = 3; size <= 5; size++)
                    for (var start = 0; start + size <= length; start++)
                        features.Add(Fold(Hash(word.Slice(start, size), LetterSeed)));
            }
            length = 1;
        }

        void Pair(ulong hash)
        {
            features.Add(Fold((before * PairSeed) ^ (hash * LetterSeed)));
            before = hash;
        }

        int Fold(ulong hash) => (int)((hash * 0xFF51AFD7ED558CCD) >> (64 - Bits));
    }

    private static ulong Hash(ReadOnlySpan<char> characters, ulong seed)
    {
        foreach (var next in characters)
            seed = (seed ^ next) * 0x100000001B3 + 0x9E37;
        return seed ^ (seed >> 29);
    }
}
