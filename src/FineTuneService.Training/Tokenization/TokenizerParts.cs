using FineTuneService.Training.Tokenization.Decoders;
using FineTuneService.Training.Tokenization.Models;
using FineTuneService.Training.Tokenization.Normalizers;
using FineTuneService.Training.Tokenization.PostProcessors;
using FineTuneService.Training.Tokenization.PreTokenizers;

namespace FineTuneService.Training.Tokenization;

/// <summary>The pipeline of one tokenizer, whichever files it came from.</summary>
internal sealed record TokenizerParts
{
    public Normalizer? Normalizer { get; init; }
    public PreTokenizer? PreTokenizer { get; init; }
    public required TokenizerModel Model { get; init; }
    public PostProcessor? PostProcessor { get; init; }
    public Decoder? Decoder { get; init; }
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    /// <summary>Reads <c>tokenizer.json</c>; its truncation and padding are for the caller of the library that wrote them.</summary>
    public static TokenizerParts Read(JsonSection root)
    {
        var model = TokenizerModel.Read(root.Get("model"));
        return new()
        {
            Normalizer = root.Find("normalizer") is { } normalizer ? Normalizer.Read(normalizer) : null,
            PreTokenizer = root.Find("pre_tokenizer") is { } preTokenizer ? PreTokenizer.Read(preTokenizer) : null,
            Model = model,
            PostProcessor = root.Find("post_processor") is { } postProcessor ? PostProcessor.Read(postProcessor, model.Vocabulary) : null,
            Decoder = root.Find("decoder") is { } decoder ? Decoder.Read(decoder) : null,
            AddedTokens = root.Find("added_tokens") is { } added ? [.. added.Items().Select(AddedToken.Read)] : [],
        };
    }
}
