namespace FineTuneService.Training.Tokenization.Decoders;

/// <summary>Spaces between words, none before a continuing piece; optionally English punctuation drawn together.</summary>
internal sealed class WordPieceDecoder(string prefix, bool cleanup) : Decoder
{
    private static readonly (string Apart, string Together)[] Contractions =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
        (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    public static string Cleanup(string text) =>
        Contractions.Aggregate(text, (current, pair) => current.Replace(pair.Apart, pair.Together, StringComparison.Ordinal));

    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => [.. tokens.Select(Decode)];

    private string Decode(string token, int index)
    {
        var text = index == 0 ? token : token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
        return cleanup ? Cleanup(text) : text;
    }
}

/// <summary>▁ back to spaces; the first token's are dropped where one was put in front.</summary>
internal sealed class MetaspaceDecoder(char replacement, bool wasPrepended) : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => [.. tokens.Select(Decode)];

    private string Decode(string token, int index) =>
        index == 0 && wasPrepended ? token.Replace(replacement.ToString(), "", StringComparison.Ordinal) : token.Replace(replacement, ' ');
}

/// <summary>The suffix of a word's last piece back to a space, or to nothing at the end.</summary>
internal sealed class SuffixDecoder(string suffix) : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) =>
        suffix.Length == 0 ? tokens : [.. tokens.Select((token, i) => token.Replace(suffix, i == tokens.Count - 1 ? "" : " ", StringComparison.Ordinal))];
}

/// <summary>Speech: repeated tokens once, pads gone, delimiters to spaces.</summary>
internal sealed class CtcDecoder(string pad, string delimiter, bool cleanup) : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) =>
    [
        .. tokens
            .Where((token, i) => i == 0 || token != tokens[i - 1])
            .Select(token => pad.Length == 0 ? token : token.Replace(pad, "", StringComparison.Ordinal))
            .Select(token => cleanup ? WordPieceDecoder.Cleanup(token).Replace(delimiter, " ", StringComparison.Ordinal) : token)
            .Where(token => token.Length > 0),
    ];
}
