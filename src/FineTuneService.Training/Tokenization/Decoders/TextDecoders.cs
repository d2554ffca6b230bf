using System.Text;

namespace FineTuneService.Training.Tokenization.Decoders;

/// <summary>All into one.</summary>
internal sealed class FuseDecoder : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => [string.Concat(tokens)];
}

/// <summary>Up to <paramref name="start"/> and <paramref name="stop"/> times a character away from the ends of each token.</summary>
internal sealed class StripDecoder(string content, int start, int stop) : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => [.. tokens.Select(Strip)];

    private string Strip(string token)
    {
        for (var i = 0; i < start && token.StartsWith(content, StringComparison.Ordinal); i++)
            token = token[content.Length..];
        for (var i = 0; i < stop && token.EndsWith(content, StringComparison.Ordinal); i++)
            token = token[..^content.Length];
        return token;
    }
}

/// <summary><paramref name="content"/> for every match in each token.</summary>
internal sealed class ReplaceDecoder(TokenizerRegex pattern, string content) : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) => [.. tokens.Select(Replace)];

    private string Replace(string token)
    {
        List<(int Start, int End)> matches = [];
        pattern.Find(token, matches);
        var text = new StringBuilder();
        var copied = 0;
        foreach (var (start, end) in matches)
        {
            text.Append(token, copied, start - copied).Append(content);
            copied = end;
        }
        return text.Append(token, copied, token.Length - copied).ToString();
    }
}
