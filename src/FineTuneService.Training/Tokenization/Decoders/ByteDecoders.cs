using System.Globalization;
using System.Text.Unicode;

namespace FineTuneService.Training.Tokenization.Decoders;

/// <summary>GPT-2's stand-ins back to bytes, all tokens at once, since one may end inside a character.</summary>
internal sealed class ByteLevelDecoder : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens)
    {
        List<byte> bytes = [];
        foreach (var token in tokens)
            ByteLevelAlphabet.Decode(token, bytes);
        return [System.Text.Encoding.UTF8.GetString(bytes.ToArray())];
    }
}

/// <summary>Runs of <c>&lt;0x..&gt;</c> back to the text they spell; one U+FFFD a byte where they spell none.</summary>
internal sealed class ByteFallbackDecoder : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens)
    {
        List<string> texts = [];
        List<byte> bytes = [];
        foreach (var token in tokens)
        {
            if (ByteOf(token) is { } value)
            {
                bytes.Add(value);
                continue;
            }
            Flush(bytes, texts);
            texts.Add(token);
        }
        Flush(bytes, texts);
        return texts;
    }

    /// <summary>The byte that a fallback token spells; null for any other token.</summary>
    public static byte? ByteOf(string token) =>
        token is ['<', '0', 'x', _, _, '>'] && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;

    private static void Flush(List<byte> bytes, List<string> texts)
    {
        var run = bytes.ToArray();
        bytes.Clear();
        if (Utf8.IsValid(run))
            texts.Add(System.Text.Encoding.UTF8.GetString(run));
        else
            texts.AddRange(Enumerable.Repeat("\uFFFD", run.Length));
    }
}
