using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace FineTuneService.Training.Tokenization;

/// <summary>What the Rust library asks of a character, by its own definitions rather than those of <see cref="char"/>.</summary>
internal static class UnicodeClasses
{
    private const byte White = 1, Punctuation = 2, Other = 4, Numeric = 8, NonspacingMark = 16, AnyMark = 32, Word = 64, Chinese = 128;

    private static readonly byte[] Basic = BasicPlane();

    public static int Width(int scalar) => scalar > char.MaxValue ? 2 : 1;

    public static int ScalarAt(ReadOnlySpan<char> text, int index) =>
        char.IsHighSurrogate(text[index]) ? char.ConvertToUtf32(text[index], text[index + 1]) : text[index];

    /// <summary>White_Space, Rust's <c>char::is_whitespace</c>.</summary>
    public static bool IsWhiteSpace(int scalar) => Is(scalar, White);

    /// <summary>ASCII 33-47, 58-64, 91-96, 123-126 and P*; symbols above ASCII are none.</summary>
    public static bool IsPunctuation(int scalar) => Is(scalar, Punctuation);

    /// <summary>Cc, Cf and Co.</summary>
    public static bool IsOther(int scalar) => Is(scalar, Other);

    /// <summary>Nd, Nl, No.</summary>
    public static bool IsNumeric(int scalar) => Is(scalar, Numeric);

    /// <summary>Mn.</summary>
    public static bool IsNonspacingMark(int scalar) => Is(scalar, NonspacingMark);

    /// <summary>Mn, Mc, Me.</summary>
    public static bool IsMark(int scalar) => Is(scalar, AnyMark);

    /// <summary><c>\w</c> of Rust's regex: Alphabetic, M, Nd, Pc and the two joiners.</summary>
    public static bool IsWord(int scalar) => Is(scalar, Word);

    /// <summary>The ideographs that BERT writes as words of their own.</summary>
    public static bool IsChinese(int scalar) => Is(scalar, Chinese);

    /// <summary>The lower case of one scalar; only U+0130 has one of two scalars.</summary>
    public static int ToLower(int scalar) => scalar < 0x80 ? scalar is >= 'A' and <= 'Z' ? scalar | 0x20 : scalar
        : UnicodeVersions.Lower.TryGetValue(scalar, out var lower) ? lower
        : Rune.ToLowerInvariant(new Rune(scalar)).Value;

    private static bool Is(int scalar, byte set) => ((scalar <= char.MaxValue ? Basic[scalar] : Classify(scalar)) & set) != 0;

    private static int Flip(FrozenSet<int> differing, int scalar, byte set) => differing.Contains(scalar) ? set : 0;

    private static byte[] BasicPlane()
    {
        var classes = new byte[char.MaxValue + 1];
        for (var scalar = 0; scalar < classes.Length; scalar++)
            classes[scalar] = Classify(scalar);
        return classes;
    }

    private static byte Classify(int scalar)
    {
        var category = CharUnicodeInfo.GetUnicodeCategory(scalar);
        var set = category switch
        {
            UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse => Other,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber => Numeric | Word,
            UnicodeCategory.OtherNumber => Numeric,
            UnicodeCategory.NonSpacingMark => NonspacingMark | AnyMark | Word,
            UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => AnyMark | Word,
            UnicodeCategory.ConnectorPunctuation => Punctuation | Word,
            >= UnicodeCategory.DashPunctuation and <= UnicodeCategory.OtherPunctuation => Punctuation,
            <= UnicodeCategory.OtherLetter => Word,
            _ => 0,
        };
        if (scalar is >= 33 and <= 47 or >= 58 and <= 64 or >= 91 and <= 96 or >= 123 and <= 126)
            set |= Punctuation;
        if (scalar <= char.MaxValue && char.IsWhiteSpace((char)scalar))
            set |= White;
        // The joiners, and the circled and squared letters, which are Alphabetic though symbols.
        if (scalar is 0x200C or 0x200D or >= 0x24B6 and <= 0x24E9 or >= 0x1F130 and <= 0x1F149 or >= 0x1F150 and <= 0x1F169 or >= 0x1F170 and <= 0x1F189)
            set |= Word;
        if (scalar is >= 0x4E00 and <= 0x9FFF or >= 0x3400 and <= 0x4DBF or >= 0x20000 and <= 0x2A6DF or >= 0x2A700 and <= 0x2B73F
            or >= 0x2B740 and <= 0x2B81F or >= 0x2B920 and <= 0x2CEAF or >= 0xF900 and <= 0xFAFF or >= 0x2F800 and <= 0x2FA1F)
            set |= Chinese;
        set ^= Flip(UnicodeVersions.Punctuation, scalar, Punctuation) | Flip(UnicodeVersions.Other, scalar, Other) | Flip(UnicodeVersions.Numeric, scalar, Numeric)
            | Flip(UnicodeVersions.NonspacingMark, scalar, NonspacingMark) | Flip(UnicodeVersions.AnyMark, scalar, AnyMark);
        return (byte)set;
    }
}
