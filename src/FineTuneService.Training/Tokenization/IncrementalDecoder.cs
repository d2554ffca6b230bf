using FineTuneService.Training.Tokenization.Decoders;

namespace FineTuneService.Training.Tokenization;

/// <summary>
/// Decodes tokens as they come. The pieces together are what <see cref="Tokenizer.Decode"/> makes of all ids at once; a character whose bytes
/// are not all there waits for them.
/// </summary>
/// <remarks>
/// What a token adds is the difference of two decodings, with it and without it, of a window of tokens before it: decoders look at neighbours
/// (a space before a word, bytes of one character), and treat the first token in a way of its own.
/// </remarks>
public sealed class IncrementalDecoder
{
    /// <summary>The window grows up to the first number, and then shrinks to the second.</summary>
    private const int MostTokens = 64, Context = 8;

    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecialTokens;
    private readonly List<string> _window = [];
    private string _told = "";

    /// <param name="context">Ids whose text is known already: what follows is told as their continuation.</param>
    public IncrementalDecoder(Tokenizer tokenizer, bool skipSpecialTokens = false, IEnumerable<int>? context = null)
    {
        (_tokenizer, _skipSpecialTokens) = (tokenizer, skipSpecialTokens);
        foreach (var id in context ?? [])
            if (tokenizer.SpellingOf(id, skipSpecialTokens) is { } token)
                _window.Add(token);
        _told = tokenizer.Join(_window);
        Shrink();
    }

    /// <summary>The text that is certain now; empty while a character is incomplete.</summary>
    public string Add(int id)
    {
        if (_tokenizer.SpellingOf(id, _skipSpecialTokens) is not { } token)
            return "";
        _window.Add(token);
        var text = _tokenizer.Join(_window);
        // A run of fallback bytes is judged as a whole; U+FFFD at the end is a character cut short, as a rule.
        if (ByteFallbackDecoder.ByteOf(token) is not null || text.EndsWith('\uFFFD') || !text.StartsWith(_told, StringComparison.Ordinal))
            return "";
        var news = text[_told.Length..];
        _told = text;
        Shrink();
        return news;
    }

    /// <summary>What waits for more, as it stands; nothing follows it.</summary>
    public string Flush()
    {
        var text = _tokenizer.Join(_window);
        var shared = text.AsSpan().CommonPrefixLength(_told);
        _told = text;
        return text[shared..];
    }

    private void Shrink()
    {
        if (_window.Count <= MostTokens)
            return;
        _window.RemoveRange(0, _window.Count - Context);
        _told = _tokenizer.Join(_window);
    }
}
