namespace FineTuneService.Training.Tokenization.PostProcessors;

/// <summary><c>[CLS] A [SEP]</c>, or <c>[CLS] A [SEP] B [SEP]</c> with the second half of type 1.</summary>
internal sealed class BertProcessing(int cls, int sep) : PostProcessor
{
    public override int AddedTokens(bool isPair) => isPair ? 3 : 2;

    public override IReadOnlyList<Segment> Process(IReadOnlyList<Segment> segments, bool addSpecialTokens) => (addSpecialTokens, segments) switch
    {
        (false, _) => segments,
        (_, [var a]) => [Special(cls), a, Special(sep)],
        (_, [var a, var b]) => [Special(cls), a, Special(sep), b, Special(sep, 1)],
        _ => throw new InvalidOperationException("Another post-processor has arranged the texts already."),
    };

    private static Segment Special(int id, int typeId = 0) => new([new Token(id, 0, 0)], typeId, true);
}

/// <summary><c>&lt;s&gt; A &lt;/s&gt;</c>, or <c>&lt;s&gt; A &lt;/s&gt;&lt;/s&gt; B &lt;/s&gt;</c>, all of type 0.</summary>
/// <param name="trimming">Null: offsets keep their white space.</param>
internal sealed class RobertaProcessing(int cls, int sep, OffsetTrimming? trimming) : PostProcessor
{
    public override int AddedTokens(bool isPair) => isPair ? 4 : 2;

    public override IReadOnlyList<Segment> Process(IReadOnlyList<Segment> segments, bool addSpecialTokens)
    {
        var texts = segments.Select(segment => (trimming?.Trim(segment) ?? segment) with { TypeId = 0 }).ToArray();
        return (addSpecialTokens, texts) switch
        {
            (false, _) => texts,
            (_, [var a]) => [Special(cls), a, Special(sep)],
            (_, [var a, var b]) => [Special(cls), a, Special(sep), Special(sep), b, Special(sep)],
            _ => throw new InvalidOperationException("Another post-processor has arranged the texts already."),
        };
    }

    private static Segment Special(int id) => new([new Token(id, 0, 0)], 0, true);
}

/// <summary>GPT-2 adds nothing; offsets may lose their white space.</summary>
/// <param name="trimming">Null: offsets keep their white space.</param>
internal sealed class ByteLevelProcessing(OffsetTrimming? trimming) : PostProcessor
{
    public override int AddedTokens(bool isPair) => 0;

    public override IReadOnlyList<Segment> Process(IReadOnlyList<Segment> segments, bool addSpecialTokens) =>
        trimming is null ? segments : [.. segments.Select(trimming.Trim)];
}
