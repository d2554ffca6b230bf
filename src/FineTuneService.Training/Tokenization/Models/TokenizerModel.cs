namespace FineTuneService.Training.Tokenization.Models;

/// <summary>Turns one word into tokens of its vocabulary.</summary>
internal abstract class TokenizerModel(Vocabulary vocabulary)
{
    private readonly WordCache _cache = new();

    public Vocabulary Vocabulary { get; } = vocabulary;

    /// <summary>Appends the tokens of a word that is not empty and begins at <paramref name="start"/> of its buffer.</summary>
    public void Tokenize(ReadOnlySpan<char> word, int start, List<Token> tokens)
    {
        if (_cache.TryAppend(word, start, tokens))
            return;
        var first = tokens.Count;
        TokenizeAnew(word, start, tokens);
        _cache.Remember(word, start, tokens, first);
    }

    protected abstract void TokenizeAnew(ReadOnlySpan<char> word, int start, List<Token> tokens);

    /// <summary>Old files have no <c>type</c>: the members tell.</summary>
    public static TokenizerModel Read(JsonSection section)
    {
        var type = section.Find("type")?.Text()
            ?? (section.Find("merges") is not null ? "BPE"
                : section.Get("vocab").Element.ValueKind == System.Text.Json.JsonValueKind.Array ? "Unigram"
                : section.Find("max_input_chars_per_word") is not null ? "WordPiece"
                : "WordLevel");
        return type switch
        {
            "BPE" => BytePairEncoding.Read(section),
            "WordPiece" => WordPiece.Read(section),
            "Unigram" => Unigram.Read(section),
            "WordLevel" => WordLevel.Read(section),
            _ => throw section.UnknownType("model"),
        };
    }

    /// <summary>The id of the unknown token that a model cannot do without.</summary>
    protected static int RequiredId(JsonSection section, Vocabulary vocabulary, string member, string token) => vocabulary.IdOf(token) is var id and >= 0
        ? id
        : throw (section.Find(member) ?? section).Fault($"The unknown token '{token}' is not in the vocabulary.", "Download the file again.");

    /// <summary>The ids of <c>&lt;0x00&gt;</c> to <c>&lt;0xFF&gt;</c>, -1 where the vocabulary has none.</summary>
    protected static int[] ByteIds(Vocabulary vocabulary) => [.. Enumerable.Range(0, 256).Select(value => vocabulary.IdOf($"<0x{value:X2}>"))];
}
