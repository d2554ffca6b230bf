namespace FineTuneService.Training.Tokenization.Normalizers;

/// <summary>Rewrites a text before it is divided; keeps track of what each character came from.</summary>
internal abstract class Normalizer
{
    /// <summary>Returns <paramref name="text"/> itself when nothing changes.</summary>
    public abstract NormalizedString Normalize(NormalizedString text);

    public static Normalizer Read(JsonSection section) => section.Text("type") switch
    {
        "Sequence" => new NormalizerSequence([.. section.Get("normalizers").Items().Select(Read)]),
        "BertNormalizer" => new BertNormalizer(
            section.Flag("clean_text", true),
            section.Flag("handle_chinese_chars", true),
            section.Find("strip_accents")?.Flag(),
            section.Flag("lowercase", true)),
        "NFC" => new UnicodeNormalizer(System.Text.NormalizationForm.FormC),
        "NFD" => new UnicodeNormalizer(System.Text.NormalizationForm.FormD),
        "NFKC" => new UnicodeNormalizer(System.Text.NormalizationForm.FormKC),
        "NFKD" => new UnicodeNormalizer(System.Text.NormalizationForm.FormKD),
        "Lowercase" => new Lowercase(),
        "StripAccents" => new StripAccents(),
        "Strip" => new Strip(section.Flag("strip_left", true), section.Flag("strip_right", true)),
        "Prepend" => new Prepend(section.Text("prepend")),
        "Replace" => new Replace(TokenizerRegex.Read(section.Get("pattern")), section.Text("content")),
        "Precompiled" => Precompiled.Read(section),
        "Nmt" => new Nmt(),
        "ByteLevel" => new ByteLevelNormalizer(),
        _ => throw section.UnknownType("normalizer"),
    };
}

internal sealed class NormalizerSequence(IReadOnlyList<Normalizer> normalizers) : Normalizer
{
    public override NormalizedString Normalize(NormalizedString text) =>
        normalizers.Aggregate(text, (current, normalizer) => normalizer.Normalize(current));
}
