using FineTuneService.Training.Tokenization.Models;

namespace FineTuneService.Training.Tokenization.PostProcessors;

/// <summary>Takes white space at a token's ends out of its offsets.</summary>
/// <param name="addPrefixSpace">A single space at the very beginning was put there by the pre-tokenizer and is in no offset.</param>
internal sealed class OffsetTrimming(Vocabulary vocabulary, bool addPrefixSpace)
{
    public Segment Trim(Segment segment) => segment with { Tokens = [.. segment.Tokens.Select(Trim)] };

    private Token Trim(Token token, int index)
    {
        var text = token.Value ?? vocabulary.TokenOf(token.Id) ?? "";
        int leading = 0, trailing = 0;
        while (leading < text.Length && IsSpace(text[leading]))
            leading++;
        while (trailing < text.Length && IsSpace(text[text.Length - 1 - trailing]))
            trailing++;
        if (leading == 1 && addPrefixSpace && (index == 0 || token.Start == 0))
            leading = 0;
        var start = Math.Min(token.Start + leading, token.End);
        var end = trailing > 0 && token.End >= trailing ? Math.Max(token.End - trailing, start) : token.End;
        return token with { Start = start, End = end };
    }

    private static bool IsSpace(char unit) => unit == ByteLevelAlphabet.Space || UnicodeClasses.IsWhiteSpace(unit);
}
