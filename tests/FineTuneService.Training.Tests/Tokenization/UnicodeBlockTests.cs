using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using FineTuneService.Training.Tokenization;
using FineTuneService.Training.Tokenization.Normalizers;
using FineTuneService.Training.Tokenization.PreTokenizers;

namespace FineTuneService.Training.Tests.Tokenization;

/// <summary>
/// Every code point through every component that asks what a character is. A failure after an upgrade of .NET or ICU means that
/// <see cref="UnicodeVersions"/> has a new difference to list.
/// </summary>
public sealed class UnicodeBlockTests
{
    private static readonly Dictionary<string, Func<string, string>> Components = new()
    {
        ["bert_uncased"] = Normalizes(new BertNormalizer(true, true, true, true)),
        ["bert_cased"] = Normalizes(new BertNormalizer(true, true, false, false)),
        ["nfc"] = Normalizes(new UnicodeNormalizer(NormalizationForm.FormC)),
        ["nfd"] = Normalizes(new UnicodeNormalizer(NormalizationForm.FormD)),
        ["nfkc"] = Normalizes(new UnicodeNormalizer(NormalizationForm.FormKC)),
        ["nfkd"] = Normalizes(new UnicodeNormalizer(NormalizationForm.FormKD)),
        ["lowercase"] = Normalizes(new Lowercase()),
        ["strip_accents"] = Normalizes(new StripAccents()),
        ["nmt"] = Normalizes(new Nmt()),
        ["punctuation"] = Splits(new ScalarSplit(UnicodeClasses.IsPunctuation, SplitDelimiterBehavior.Isolated)),
        ["digits"] = Splits(new ScalarSplit(UnicodeClasses.IsNumeric, SplitDelimiterBehavior.Isolated)),
        ["whitespace"] = Splits(new Whitespace()),
        ["whitespace_split"] = Splits(new ScalarSplit(UnicodeClasses.IsWhiteSpace, SplitDelimiterBehavior.Removed)),
    };

    public static TheoryData<string> Names => [.. Components.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Equals_the_Rust_library_on_every_code_point(string component)
    {
        var blocks = File.ReadLines(Path.Combine(GoldenTokenizers.Root, "unicode_blocks.tsv")).Select(line => line.Split('\t')).Where(row => row[0] == component).ToList();

        Assert.Equal(64, blocks.Count);
        Assert.Equal(blocks.Select(row => (row[1], row[2])), blocks.Select(row => (row[1], Hash(Components[component], row[1]))));
    }

    private static string Hash(Func<string, string> component, string block)
    {
        var first = int.Parse(block, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) << 12;
        var results = Enumerable.Range(first, 1 << 12)
            .Where(scalar => scalar > 0 && Rune.IsValid(scalar))
            .Select(scalar => component(char.ConvertFromUtf32(scalar)) + "\n");
        return Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(string.Concat(results))))[..16];
    }

    private static Func<string, string> Normalizes(Normalizer normalizer) => text => normalizer.Normalize(NormalizedString.Of(text, 0)).Chars.ToString();

    private static Func<string, string> Splits(PreTokenizer preTokenizer) => text =>
    {
        var parts = new PreTokenizedString();
        parts.Add(NormalizedString.Of($"a{text}b", 0), 0, text.Length + 2, null);
        preTokenizer.PreTokenize(parts);
        return string.Join('|', parts.Splits.Select(part => parts.Text.Chars[part.Start..part.End].ToString()));
    };
}
