namespace FineTuneService.Training.Tokenization.PostProcessors;

/// <summary>Texts and special tokens in the order that a template gives, each with its type id.</summary>
internal sealed class TemplateProcessing : PostProcessor
{
    private readonly Piece[] _single;
    private readonly Piece[] _pair;

    private TemplateProcessing(Piece[] single, Piece[] pair) => (_single, _pair) = (single, pair);

    /// <param name="Text">0 for the first text, 1 for the second, null for special tokens.</param>
    private sealed record Piece(int? Text, Token[] Special, int TypeId);

    public static TemplateProcessing Read(JsonSection section)
    {
        var special = section.Find("special_tokens");
        return new(ReadPieces(section.Get("single"), special, 1), ReadPieces(section.Get("pair"), special, 2));
    }

    /// <summary><c>[CLS] A [SEP]</c> and <c>[CLS] A [SEP] B [SEP]</c>, as BERT wants it.</summary>
    public static TemplateProcessing Bert(int cls, int sep) => new(
        [Special(cls, 0), new(0, [], 0), Special(sep, 0)],
        [Special(cls, 0), new(0, [], 0), Special(sep, 0), new(1, [], 1), Special(sep, 1)]);

    public override int AddedTokens(bool isPair) => (isPair ? _pair : _single).Sum(piece => piece.Special.Length);

    public override IReadOnlyList<Segment> Process(IReadOnlyList<Segment> segments, bool addSpecialTokens) =>
    [
        .. from piece in segments.Count == 2 ? _pair : _single
           where piece.Text is not null || addSpecialTokens
           select piece.Text is { } text ? segments[text] with { TypeId = piece.TypeId } : new Segment(piece.Special, piece.TypeId, true),
    ];

    private static Piece Special(int id, int typeId) => new(null, [new Token(id, 0, 0)], typeId);

    private static Piece[] ReadPieces(JsonSection template, JsonSection? special, int texts) =>
        [.. template.Items().Select(item => ReadPiece(item, special, texts))];

    private static Piece ReadPiece(JsonSection item, JsonSection? special, int texts)
    {
        if (item.Find("Sequence") is { } sequence)
        {
            var text = sequence.Text("id") switch { "A" => 0, "B" => 1, _ => texts };
            return text < texts ? new(text, [], TypeId(sequence)) : throw sequence.Fault("This template has no such text.", "Download the file again.");
        }
        var token = item.Get("SpecialToken");
        var ids = special?.Find(token.Text("id"))?.Get("ids") ?? throw token.Fault("This special token is not declared in special_tokens.", "Download the file again.");
        return new(null, [.. ids.Items().Select(id => new Token(id.Number(), 0, 0))], TypeId(token));
    }

    private static int TypeId(JsonSection section) => section.Find("type_id")?.Number() ?? 0;
}
