namespace FineTuneService.Training.Tokenization.Models;

/// <summary>BERT's model: the longest piece from the left, then the longest continuing piece, and so on; or the whole word is unknown.</summary>
internal sealed class WordPiece : TokenizerModel
{
    private readonly Vocabulary _continuing;
    private readonly int _longest;
    private readonly int _unknown;
    private readonly int _maxScalars;

    public WordPiece(Vocabulary vocabulary, int unknown, string prefix = "##", int maxScalars = 100)
        : base(vocabulary)
    {
        _continuing = new(vocabulary.Entries
            .Where(entry => entry.Key.StartsWith(prefix, StringComparison.Ordinal))
            .Select(entry => (entry.Key[prefix.Length..], entry.Value)));
        _longest = vocabulary.Entries.Select(entry => entry.Key.Length).DefaultIfEmpty().Max();
        (_unknown, _maxScalars) = (unknown, maxScalars);
    }

    public static new WordPiece Read(JsonSection section)
    {
        var vocabulary = Vocabulary.Read(section.Get("vocab"));
        return new(
            vocabulary,
            RequiredId(section, vocabulary, "unk_token", section.Find("unk_token")?.Text() ?? "[UNK]"),
            section.Find("continuing_subword_prefix")?.Text() ?? "##",
            section.Find("max_input_chars_per_word")?.Number() ?? 100);
    }

    protected override void TokenizeAnew(ReadOnlySpan<char> word, int start, List<Token> tokens)
    {
        var first = tokens.Count;
        var isKnown = word.Length <= _maxScalars || Scalars(word) <= _maxScalars;
        for (var at = 0; isKnown && at < word.Length;)
        {
            var end = Math.Min(word.Length, at + _longest);
            var id = -1;
            while (end > at && (id = (at == 0 ? Vocabulary : _continuing).IdOf(word[at..end])) < 0)
                end -= end - at > 1 && char.IsLowSurrogate(word[end - 1]) ? 2 : 1;
            isKnown = id >= 0;
            tokens.Add(new Token(id, start + at, start + end));
            at = end;
        }
        if (isKnown)
            return;
        tokens.RemoveRange(first, tokens.Count - first);
        tokens.Add(new Token(_unknown, start, start + word.Length));
    }

    private static int Scalars(ReadOnlySpan<char> word)
    {
        var count = 0;
        foreach (var unit in word)
            count += char.IsLowSurrogate(unit) ? 0 : 1;
        return count;
    }
}
