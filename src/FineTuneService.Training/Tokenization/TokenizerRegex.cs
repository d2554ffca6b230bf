using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace FineTuneService.Training.Tokenization;

/// <summary>A pattern written for Oniguruma, run by .NET with the same matches.</summary>
internal sealed class TokenizerRegex
{
    // Oniguruma's \w: .NET's lacks Mc, Me, Nl and the zero-width joiner (the circled letters are Alphabetic).
    private const string Word = @"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u200C\u200D\u24B6-\u24E9";

    private readonly Regex _regex;

    private TokenizerRegex(Regex regex) => _regex = regex;

    /// <summary>Reads <c>{"String": …}</c> or <c>{"Regex": …}</c>.</summary>
    public static TokenizerRegex Read(JsonSection section)
    {
        if (section.Find("String") is { } literal)
            return Literal(literal.Text());
        var pattern = section.Get("Regex");
        try
        {
            return new(new Regex(Translate(pattern.Text()), RegexOptions.Compiled | RegexOptions.CultureInvariant));
        }
        catch (ArgumentException error)
        {
            throw pattern.Fault($"This pattern cannot be run: {error.Message}", "Use a model with another tokenizer.");
        }
    }

    public static TokenizerRegex Literal(string text) => new(new Regex(Regex.Escape(text), RegexOptions.CultureInvariant));

    public static TokenizerRegex Of(Regex regex) => new(regex);

    /// <inheritdoc cref="MatchFinder"/>
    public void Find(ReadOnlySpan<char> text, List<(int Start, int End)> matches)
    {
        if (text.IndexOfAnyInRange('\uD800', '\uDFFF') < 0)
        {
            foreach (var match in _regex.EnumerateMatches(text))
            {
                if (match.Length > 0)
                    matches.Add((match.Index, match.Index + match.Length));
            }
            return;
        }
        // .NET matches UTF-16 units, so \p{L} never sees an astral letter: match on stand-ins of one unit each, then map back.
        var projected = new char[text.Length];
        var positions = new int[text.Length + 1];
        var count = 0;
        for (int i = 0, width; i < text.Length; i += width, count++)
        {
            var scalar = UnicodeClasses.ScalarAt(text, i);
            width = UnicodeClasses.Width(scalar);
            projected[count] = width == 1 ? (char)scalar : StandIn(scalar);
            positions[count] = i;
        }
        positions[count] = text.Length;
        foreach (var match in _regex.EnumerateMatches(projected.AsSpan(0, count)))
        {
            if (match.Length > 0)
                matches.Add((positions[match.Index], positions[match.Index + match.Length]));
        }
    }

    private static string Translate(string pattern)
    {
        var result = new StringBuilder(pattern.Length);
        var inClass = false;
        for (var i = 0; i < pattern.Length; i++)
        {
            var escaped = pattern[i] == '\\' && i + 1 < pattern.Length;
            if (escaped && pattern[i + 1] == 'w')
                result.Append(inClass ? Word : $"[{Word}]");
            else if (escaped && pattern[i + 1] == 'W' && !inClass)
                result.Append($"[^{Word}]");
            else if (escaped)
                result.Append(pattern, i, 2);
            else
            {
                inClass = pattern[i] == '[' || inClass && pattern[i] != ']';
                result.Append(pattern[i]);
            }
            i += escaped ? 1 : 0;
        }
        return result.ToString();
    }

    /// <summary>A unit of the same category, outside the ranges that patterns name.</summary>
    private static char StandIn(int scalar) => CharUnicodeInfo.GetUnicodeCategory(scalar) switch
    {
        UnicodeCategory.UppercaseLetter => '\u0100',
        UnicodeCategory.LowercaseLetter => '\u0101',
        UnicodeCategory.TitlecaseLetter => '\u01C5',
        UnicodeCategory.ModifierLetter => '\u02B0',
        UnicodeCategory.OtherLetter => '\u05D0',
        UnicodeCategory.NonSpacingMark => '\u0300',
        UnicodeCategory.SpacingCombiningMark => '\u0903',
        UnicodeCategory.EnclosingMark => '\u20DD',
        UnicodeCategory.DecimalDigitNumber => '\u0660',
        UnicodeCategory.LetterNumber => '\u2160',
        UnicodeCategory.OtherNumber => '\u00B2',
        UnicodeCategory.ConnectorPunctuation => '\u203F',
        UnicodeCategory.DashPunctuation => '\u2010',
        UnicodeCategory.OpenPunctuation => '\u2045',
        UnicodeCategory.ClosePunctuation => '\u2046',
        UnicodeCategory.InitialQuotePunctuation => '\u00AB',
        UnicodeCategory.FinalQuotePunctuation => '\u00BB',
        UnicodeCategory.OtherPunctuation => '\u00BF',
        UnicodeCategory.MathSymbol => '\u00AC',
        UnicodeCategory.CurrencySymbol => '\u00A2',
        UnicodeCategory.ModifierSymbol => '\u00A8',
        UnicodeCategory.Format => '\u00AD',
        UnicodeCategory.PrivateUse => '\uE000',
        UnicodeCategory.OtherNotAssigned => '\u0378',
        _ => '\u00A9',
    };
}
