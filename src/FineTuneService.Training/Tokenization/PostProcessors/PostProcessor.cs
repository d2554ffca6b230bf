using FineTuneService.Training.Tokenization.Models;

namespace FineTuneService.Training.Tokenization.PostProcessors;

/// <summary>Tokens that stand together in the result. <see cref="Token.Start"/> and <see cref="Token.End"/> are code points of the original.</summary>
internal sealed record Segment(IReadOnlyList<Token> Tokens, int TypeId, bool IsSpecial = false);

/// <summary>Arranges one or two tokenized texts, and puts special tokens around them.</summary>
internal abstract class PostProcessor
{
    /// <summary>How many special tokens it adds.</summary>
    public abstract int AddedTokens(bool isPair);

    public abstract IReadOnlyList<Segment> Process(IReadOnlyList<Segment> segments, bool addSpecialTokens);

    public static PostProcessor Read(JsonSection section, Vocabulary vocabulary) => section.Text("type") switch
    {
        "Sequence" => new PostProcessorSequence([.. section.Get("processors").Items().Select(item => Read(item, vocabulary))]),
        "TemplateProcessing" => TemplateProcessing.Read(section),
        "BertProcessing" => new BertProcessing(SpecialToken(section, "cls"), SpecialToken(section, "sep")),
        "RobertaProcessing" => new RobertaProcessing(
            SpecialToken(section, "cls"),
            SpecialToken(section, "sep"),
            section.Flag("trim_offsets", true) ? new OffsetTrimming(vocabulary, section.Flag("add_prefix_space", true)) : null),
        "ByteLevel" => new ByteLevelProcessing(
            section.Flag("trim_offsets", true) ? new OffsetTrimming(vocabulary, section.Flag("add_prefix_space", true)) : null),
        _ => throw section.UnknownType("post-processor"),
    };

    /// <summary>Reads <c>["[CLS]", 101]</c>.</summary>
    private static int SpecialToken(JsonSection section, string name)
    {
        var pair = section.Get(name);
        return pair.Items().ToArray() is [_, var id] ? id.Number() : throw pair.Fault("A token and its id are expected here.", "Download the file again.");
    }
}

internal sealed class PostProcessorSequence(IReadOnlyList<PostProcessor> processors) : PostProcessor
{
    public override int AddedTokens(bool isPair) => processors.Sum(processor => processor.AddedTokens(isPair));

    public override IReadOnlyList<Segment> Process(IReadOnlyList<Segment> segments, bool addSpecialTokens) =>
        processors.Aggregate(segments, (current, processor) => processor.Process(current, addSpecialTokens));
}
