using System.Collections.Concurrent;

namespace FineTuneService.Training.Tokenization.Models;

/// <summary>What words became, for all threads; full, it stays as it is, since frequent words come early.</summary>
internal sealed class WordCache
{
    private const int Capacity = 1 << 16;
    private const int LongestWord = 64;

    private readonly ConcurrentDictionary<string, Token[]> _words = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Token[]>.AlternateLookup<ReadOnlySpan<char>> _bySpan;
    private int _count;

    public WordCache() => _bySpan = _words.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Appends the tokens of a known word, moved to <paramref name="start"/>.</summary>
    public bool TryAppend(ReadOnlySpan<char> word, int start, List<Token> tokens)
    {
        if (word.Length > LongestWord || !_bySpan.TryGetValue(word, out var known))
            return false;
        foreach (var token in known)
            tokens.Add(token with { Start = start + token.Start, End = start + token.End });
        return true;
    }

    /// <summary>Remembers the tokens from index <paramref name="first"/> on, whose word began at <paramref name="start"/>.</summary>
    public void Remember(ReadOnlySpan<char> word, int start, List<Token> tokens, int first)
    {
        if (word.Length > LongestWord || Volatile.Read(ref _count) >= Capacity)
            return;
        var known = new Token[tokens.Count - first];
        for (var i = 0; i < known.Length; i++)
            known[i] = tokens[first + i] with { Start = tokens[first + i].Start - start, End = tokens[first + i].End - start };
        if (_bySpan.TryAdd(word, known))
            Interlocked.Increment(ref _count);
    }
}
