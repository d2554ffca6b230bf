using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization.Decoders;
using FineTuneService.Training.Tokenization.Models;
using FineTuneService.Training.Tokenization.Normalizers;
using FineTuneService.Training.Tokenization.PostProcessors;
using FineTuneService.Training.Tokenization.PreTokenizers;

namespace FineTuneService.Training.Tokenization;

/// <summary>Folders from before <c>tokenizer.json</c>: the pipeline follows from the class, as in transformers' convert_slow_tokenizer.py.</summary>
internal static class VocabularyFiles
{
    /// <summary>BERT: one token a line, its number the id.</summary>
    public static TokenizerParts Bert(string folder, TokenizerConfig config)
    {
        var file = Path.Combine(folder, "vocab.txt");
        var vocabulary = new Vocabulary(File.ReadLines(file).Select((line, i) => (line.TrimEnd(), i)));
        string Special(string role, string otherwise) => config.SpecialToken(role) ?? otherwise;
        int Id(string token) => vocabulary.IdOf(token) is var id and >= 0 ? id
            : throw new FaultException(file, token, "The vocabulary lacks this special token.", "Download the file again, or correct tokenizer_config.json.");
        var (unknown, cls, sep) = (Special("unk_token", "[UNK]"), Special("cls_token", "[CLS]"), Special("sep_token", "[SEP]"));
        return new()
        {
            Normalizer = new BertNormalizer(
                cleanText: true,
                config.Flag("tokenize_chinese_chars", true),
                config.OptionalFlag("strip_accents"),
                config.Flag("do_lower_case", true)),
            PreTokenizer = new BertPreTokenizer(),
            Model = new WordPiece(vocabulary, Id(unknown)),
            PostProcessor = TemplateProcessing.Bert(Id(cls), Id(sep)),
            Decoder = new WordPieceDecoder("##", cleanup: true),
            AddedTokens = [.. new[] { Special("pad_token", "[PAD]"), unknown, cls, sep, Special("mask_token", "[MASK]") }
                .Where(token => vocabulary.IdOf(token) >= 0).Select(token => AddedToken.OfSpecial(token))],
        };
    }

    /// <summary>GPT-2, RoBERTa and Qwen2: byte-level pairs.</summary>
    public static TokenizerParts ByteLevel(string folder, TokenizerConfig config)
    {
        var model = BytePairEncoding.Load(Path.Combine(folder, "vocab.json"), Path.Combine(folder, "merges.txt"), new());
        var vocabulary = model.Vocabulary;
        var addPrefixSpace = config.Flag("add_prefix_space", false);
        var isQwen = config.TokenizerClass?.StartsWith("Qwen2", StringComparison.Ordinal) ?? false;
        var parts = new TokenizerParts
        {
            Normalizer = isQwen ? new UnicodeNormalizer(System.Text.NormalizationForm.FormC) : null,
            PreTokenizer = isQwen
                ? new PreTokenizerSequence([new PatternSplit(Qwen2Words, SplitDelimiterBehavior.Isolated, invert: false), new ByteLevelPreTokenizer(addPrefixSpace, useRegex: false)])
                : new ByteLevelPreTokenizer(addPrefixSpace, useRegex: true),
            Model = model,
            PostProcessor = new ByteLevelProcessing(null),
            Decoder = new ByteLevelDecoder(),
            AddedTokens = vocabulary.IdOf("<|endoftext|>") >= 0 ? [AddedToken.OfSpecial("<|endoftext|>")] : [],
        };
        var (cls, sep) = (vocabulary.IdOf(config.SpecialToken("cls_token") ?? "<s>"), vocabulary.IdOf(config.SpecialToken("sep_token") ?? "</s>"));
        var mask = config.SpecialToken("mask_token") ?? "<mask>";
        if (isQwen || cls < 0 || sep < 0 || vocabulary.IdOf(mask) < 0)
            return parts;
        return parts with
        {
            PostProcessor = new RobertaProcessing(cls, sep, new OffsetTrimming(vocabulary, addPrefixSpace)),
            AddedTokens =
            [
                .. new[] { "<s>", "<pad>", "</s>", "<unk>" }.Where(token => vocabulary.IdOf(token) >= 0).Select(token => AddedToken.OfSpecial(token)),
                AddedToken.OfSpecial(mask, lstrip: true),
            ],
        };
    }

    private static readonly TokenizerRegex Qwen2Words = TokenizerRegex.Of(new(
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        System.Text.RegularExpressions.RegexOptions.CultureInvariant));
}
