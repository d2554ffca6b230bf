namespace FineTuneService.Training.Tokenization.Normalizers;

/// <summary>Writes <paramref name="content"/> for every match; it stands for the last character of the match.</summary>
internal sealed class Replace(TokenizerRegex pattern, string content) : Normalizer
{
    public override NormalizedString Normalize(NormalizedString text)
    {
        List<(int Start, int End)> matches = [];
        pattern.Find(text.Chars, matches);
        if (matches.Count == 0)
            return text;
        var result = new NormalizedString(text.Length);
        var copied = 0;
        foreach (var (start, end) in matches)
        {
            result.AddRange(text, copied, start);
            result.Add(content, text.Origins[end - 1]);
            copied = end;
        }
        result.AddRange(text, copied, text.Length);
        return result;
    }
}

/// <summary>Puts <paramref name="prefix"/> before a text that is not empty; it stands for the first character.</summary>
internal sealed class Prepend(string prefix) : Normalizer
{
    public override NormalizedString Normalize(NormalizedString text)
    {
        if (text.Length == 0)
            return text;
        var result = new NormalizedString(text.Length + prefix.Length);
        result.Add(prefix, text.Origins[0]);
        result.AddRange(text, 0, text.Length);
        return result;
    }
}

/// <summary>Writes every byte of the UTF-8 as GPT-2's stand-in.</summary>
internal sealed class ByteLevelNormalizer : Normalizer
{
    public override NormalizedString Normalize(NormalizedString text)
    {
        var result = new NormalizedString(text.Length + text.Length / 8);
        ByteLevelAlphabet.Encode(text, 0, text.Length, result);
        return result;
    }
}
