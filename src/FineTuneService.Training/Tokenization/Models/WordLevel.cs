namespace FineTuneService.Training.Tokenization.Models;

/// <summary>A word is a token, or unknown.</summary>
internal sealed class WordLevel(Vocabulary vocabulary, int unknown) : TokenizerModel(vocabulary)
{
    public static new WordLevel Read(JsonSection section)
    {
        var vocabulary = Vocabulary.Read(section.Get("vocab"));
        return new(vocabulary, RequiredId(section, vocabulary, "unk_token", section.Find("unk_token")?.Text() ?? "<unk>"));
    }

    protected override void TokenizeAnew(ReadOnlySpan<char> word, int start, List<Token> tokens) =>
        tokens.Add(new Token(Vocabulary.IdOf(word) is var id and >= 0 ? id : unknown, start, start + word.Length));
}
