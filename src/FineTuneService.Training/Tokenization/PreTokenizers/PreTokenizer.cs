namespace FineTuneService.Training.Tokenization.PreTokenizers;

/// <summary>Divides a normalized text into the words that the model sees one at a time.</summary>
internal abstract class PreTokenizer
{
    public abstract void PreTokenize(PreTokenizedString text);

    public static PreTokenizer Read(JsonSection section) => section.Text("type") switch
    {
        "Sequence" => new PreTokenizerSequence([.. section.Get("pretokenizers").Items().Select(Read)]),
        "BertPreTokenizer" => new BertPreTokenizer(),
        "ByteLevel" => new ByteLevelPreTokenizer(section.Flag("add_prefix_space", true), section.Flag("use_regex", true)),
        "Metaspace" => Metaspace.Read(section),
        "Whitespace" => new Whitespace(),
        "WhitespaceSplit" => new ScalarSplit(UnicodeClasses.IsWhiteSpace, SplitDelimiterBehavior.Removed),
        "Punctuation" => new ScalarSplit(UnicodeClasses.IsPunctuation, Behavior(section.Find("behavior"))),
        "Digits" => new ScalarSplit(
            UnicodeClasses.IsNumeric,
            section.Flag("individual_digits", false) ? SplitDelimiterBehavior.Isolated : SplitDelimiterBehavior.Contiguous),
        "CharDelimiterSplit" => Delimited(UnicodeClasses.ScalarAt(section.Scalar("delimiter"), 0)),
        "Split" => new PatternSplit(
            TokenizerRegex.Read(section.Get("pattern")),
            Behavior(section.Get("behavior")),
            section.Flag("invert", false)),
        "FixedLength" => new FixedLength(section.Find("length") is { } length ? Math.Max(1, length.Number()) : 5),
        _ => throw section.UnknownType("pre-tokenizer"),
    };

    private static ScalarSplit Delimited(int delimiter) => new(scalar => scalar == delimiter, SplitDelimiterBehavior.Removed);

    private static SplitDelimiterBehavior Behavior(JsonSection? section) =>
        section is not { } given ? SplitDelimiterBehavior.Isolated
        : Enum.TryParse<SplitDelimiterBehavior>(given.Text(), out var behavior) && Enum.IsDefined(behavior) ? behavior
        : throw given.Fault("This behaviour is not known.", $"Known are {string.Join(", ", Enum.GetNames<SplitDelimiterBehavior>())}.");
}

internal sealed class PreTokenizerSequence(IReadOnlyList<PreTokenizer> preTokenizers) : PreTokenizer
{
    public override void PreTokenize(PreTokenizedString text)
    {
        foreach (var preTokenizer in preTokenizers)
            preTokenizer.PreTokenize(text);
    }
}
