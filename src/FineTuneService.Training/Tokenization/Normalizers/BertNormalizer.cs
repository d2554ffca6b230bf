namespace FineTuneService.Training.Tokenization.Normalizers;

/// <summary>BERT's cleaning, in its order: control characters, ideographs, accents, case.</summary>
internal sealed class BertNormalizer(bool cleanText, bool handleChineseChars, bool? stripAccents, bool lowercase) : Normalizer
{
    private readonly bool _stripAccents = stripAccents ?? lowercase;

    public override NormalizedString Normalize(NormalizedString text)
    {
        var result = new NormalizedString(text.Length + 16);
        for (int i = 0, width; i < text.Length; i += width)
        {
            var unit = text.Chars[i];
            var origin = text.Origins[i];
            width = 1;
            if (unit is >= ' ' and < '\x7F')
            {
                result.Add(lowercase && unit is >= 'A' and <= 'Z' ? (char)(unit | 0x20) : unit, origin);
                continue;
            }
            var scalar = text.ScalarAt(i);
            width = UnicodeClasses.Width(scalar);
            if (cleanText)
            {
                if (UnicodeClasses.IsWhiteSpace(scalar))
                {
                    // The next line (U+0085), vertical tab and form feed are white space, but control characters first.
                    if (scalar is '\t' or '\n' or '\r' || !UnicodeClasses.IsOther(scalar))
                        result.Add(' ', origin);
                    continue;
                }
                if (scalar is 0 or 0xFFFD || UnicodeClasses.IsOther(scalar))
                    continue;
            }
            var spaced = handleChineseChars && UnicodeClasses.IsChinese(scalar);
            if (spaced)
                result.Add(' ', origin);
            AddFolded(result, scalar, origin);
            if (spaced)
                result.Add(' ', origin);
        }
        return result;
    }

    private void AddFolded(NormalizedString result, int scalar, (int Start, int End) origin)
    {
        if (!_stripAccents)
        {
            AddCased(result, scalar, origin);
            return;
        }
        foreach (var part in Decomposition.Canonical(scalar))
        {
            if (!UnicodeClasses.IsNonspacingMark(part))
                AddCased(result, part, origin);
        }
    }

    private void AddCased(NormalizedString result, int scalar, (int Start, int End) origin)
    {
        if (lowercase)
            Lowercase.Add(result, scalar, origin);
        else
            result.AddScalar(scalar, origin);
    }
}
