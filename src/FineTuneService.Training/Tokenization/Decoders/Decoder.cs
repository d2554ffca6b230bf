using FineTuneService.Training.Tokenization.PreTokenizers;

namespace FineTuneService.Training.Tokenization.Decoders;

/// <summary>Turns tokens back into pieces of text, which are then joined.</summary>
internal abstract class Decoder
{
    public abstract IReadOnlyList<string> Decode(IReadOnlyList<string> tokens);

    public static Decoder Read(JsonSection section) => section.Text("type") switch
    {
        "Sequence" => new DecoderSequence([.. section.Get("decoders").Items().Select(Read)]),
        "ByteLevel" => new ByteLevelDecoder(),
        "WordPiece" => new WordPieceDecoder(section.Text("prefix"), section.Flag("cleanup", true)),
        "Metaspace" => new MetaspaceDecoder(Metaspace.Replacement(section), Metaspace.Scheme(section) != Metaspace.PrependScheme.Never),
        "BPEDecoder" => new SuffixDecoder(section.Text("suffix")),
        "ByteFallback" => new ByteFallbackDecoder(),
        "Fuse" => new FuseDecoder(),
        "Strip" => new StripDecoder(section.Scalar("content"), section.Get("start").Number(), section.Get("stop").Number()),
        "Replace" => new ReplaceDecoder(TokenizerRegex.Read(section.Get("pattern")), section.Text("content")),
        "CTC" => new CtcDecoder(section.Text("pad_token"), section.Text("word_delimiter_token"), section.Flag("cleanup", true)),
        _ => throw section.UnknownType("decoder"),
    };
}

internal sealed class DecoderSequence(IReadOnlyList<Decoder> decoders) : Decoder
{
    public override IReadOnlyList<string> Decode(IReadOnlyList<string> tokens) =>
        decoders.Aggregate(tokens, (current, decoder) => decoder.Decode(current));
}
