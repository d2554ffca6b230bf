namespace FineTuneService.Training.Tokenization.Normalizers;

/// <summary>Removes all marks: Mn, Mc and Me.</summary>
internal sealed class StripAccents : Normalizer
{
    public override NormalizedString Normalize(NormalizedString text)
    {
        var result = new NormalizedString(text.Length);
        for (int i = 0, width; i < text.Length; i += width)
        {
            var scalar = text.ScalarAt(i);
            width = UnicodeClasses.Width(scalar);
            if (!UnicodeClasses.IsMark(scalar))
                result.AddRange(text, i, i + width);
        }
        return result;
    }
}

/// <summary>Removes white space at the ends.</summary>
internal sealed class Strip(bool left, bool right) : Normalizer
{
    public override NormalizedString Normalize(NormalizedString text)
    {
        int start = 0, end = text.Length;
        while (left && start < end && UnicodeClasses.IsWhiteSpace(text.Chars[start]))
            start++;
        while (right && end > start && UnicodeClasses.IsWhiteSpace(text.Chars[end - 1]))
            end--;
        if (end - start == text.Length)
            return text;
        var result = new NormalizedString(end - start);
        result.AddRange(text, start, end);
        return result;
    }
}

/// <summary>The cleaning of sentencepiece's <c>nmt_</c> rules: no control characters, and one kind of space.</summary>
internal sealed class Nmt : Normalizer
{
    public override NormalizedString Normalize(NormalizedString text)
    {
        var result = new NormalizedString(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            var unit = text.Chars[i];
            if (unit is >= '\x01' and <= '\x08' or '\x0B' or >= '\x0E' and <= '\x1F' or '\x7F' or '\x8F' or '\x9F')
                continue;
            var isSpace = unit is '\t' or '\n' or '\f' or '\r' or '\u1680' or >= '\u200B' and <= '\u200F'
                or '\u2028' or '\u2029' or '\u2581' or '\uFEFF' or '\uFFFD';
            result.Add(isSpace ? ' ' : unit, text.Origins[i]);
        }
        return result;
    }
}
