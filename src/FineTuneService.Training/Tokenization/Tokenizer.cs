using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization.PostProcessors;

namespace FineTuneService.Training.Tokenization;

/// <summary>
/// A Hugging Face tokenizer: text to the ids that a model was trained on, and back. Equal to the Rust library huggingface/tokenizers,
/// token for token. Safe for any number of threads.
/// </summary>
public sealed class Tokenizer
{
    private static readonly string[] KnownFiles =
    [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt",
        .. SentencePieceFiles.Names, "chat_template.jinja", "chat_template.json",
    ];

    private readonly TokenizerParts _parts;
    private readonly AddedTokens _added;

    private Tokenizer(string folder, TokenizerParts parts, TokenizerConfig config)
    {
        (Folder, _parts) = (folder, parts);
        var known = parts.AddedTokens.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        _added = new([.. parts.AddedTokens, .. config.AddedTokens.Where(token => !known.Contains(token.Content))], parts.Model.Vocabulary, parts.Normalizer);
        var special = new SpecialTokenIds(config, _added, TokenToId);
        PadTokenId = special["pad_token"];
        ClsTokenId = special["cls_token"];
        SepTokenId = special["sep_token"];
        MaskTokenId = special["mask_token"];
        BosTokenId = special["bos_token"];
        EosTokenId = special["eos_token"];
        UnkTokenId = special["unk_token"];
        ModelMaxLength = config.ModelMaxLength;
        PadSide = config.PadSide;
        Files = [.. KnownFiles.Where(name => File.Exists(Path.Combine(folder, name)))];
    }

    /// <summary>Where it was read from.</summary>
    public string Folder { get; }

    /// <summary>Number of tokens, added ones included.</summary>
    public int VocabularySize => _parts.Model.Vocabulary.Count + _added.BeyondVocabulary;

    public int? PadTokenId { get; }

    /// <summary>What rows are padded with: the padding token, else the end of sequence, as is usual where there is none.</summary>
    public int? PaddingId => PadTokenId ?? EosTokenId;

    public int? ClsTokenId { get; }

    public int? SepTokenId { get; }

    public int? MaskTokenId { get; }

    public int? BosTokenId { get; }

    public int? EosTokenId { get; }

    public int? UnkTokenId { get; }

    /// <summary>The most tokens that the model reads; null when the files set no sensible limit.</summary>
    public int? ModelMaxLength { get; }

    /// <summary><c>right</c> or <c>left</c>.</summary>
    public string PadSide { get; }

    /// <summary>Names of the tokenizer's files in its folder: a checkpoint copies them byte for byte.</summary>
    public IReadOnlyList<string> Files { get; }

    /// <summary>Whether a folder with these files has a tokenizer.</summary>
    public static bool IsAmong(IReadOnlyCollection<string> files) =>
        files.Contains("tokenizer.json") || files.Contains("vocab.txt") || (files.Contains("vocab.json") && files.Contains("merges.txt")) || SentencePieceFiles.Names.Any(files.Contains);

    /// <summary>Reads <c>tokenizer.json</c>, else <c>vocab.txt</c>, else <c>vocab.json</c> with <c>merges.txt</c>, else a sentencepiece model.</summary>
    /// <exception cref="FaultException">When the files are missing, damaged, or ask for something unknown; names file and place.</exception>
    public static Tokenizer Load(string folder)
    {
        string In(string name) => Path.Combine(folder, name);
        var config = TokenizerConfig.Load(folder);
        var parts = File.Exists(In("tokenizer.json")) ? TokenizerParts.Read(JsonSection.Load(In("tokenizer.json")))
            : File.Exists(In("vocab.txt")) ? VocabularyFiles.Bert(folder, config)
            : File.Exists(In("vocab.json")) && File.Exists(In("merges.txt")) ? VocabularyFiles.ByteLevel(folder, config)
            : SentencePieceFiles.Names.Select(In).FirstOrDefault(File.Exists) is { } model ? SentencePieceFiles.Read(model, config)
            : throw new FaultException(
                folder,
                null,
                "There is no tokenizer here.",
                "Add tokenizer.json, or vocab.txt, or vocab.json and merges.txt, or a sentencepiece model (save_pretrained of a fast tokenizer writes the first).");
        return new(folder, parts, config);
    }

    /// <summary>The tokens of a text, or of a pair.</summary>
    /// <param name="addSpecialTokens">Whether to put the model's special tokens around the texts.</param>
    /// <param name="maxLength">
    /// The most tokens to return, special ones included: the longer text loses tokens at its end until it is as short as the other, then both do
    /// (<c>longest_first</c>). Null: all.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">When <paramref name="maxLength"/> leaves no room for the special tokens.</exception>
    public Encoding Encode(string text, string? pair = null, bool addSpecialTokens = true, int? maxLength = null)
    {
        var first = Tokenize(text, maxLength, out var firstCount);
        var secondCount = 0;
        var second = pair is null ? null : Tokenize(pair, maxLength, out secondCount);
        var truncated = 0;
        if (maxLength is { } length)
        {
            var room = length - (addSpecialTokens ? _parts.PostProcessor?.AddedTokens(pair is not null) ?? 0 : 0);
            ArgumentOutOfRangeException.ThrowIfNegative(room, nameof(maxLength));
            truncated = Truncation.LongestFirst(first, second, room, firstCount > secondCount);
        }
        IReadOnlyList<Segment> segments = second is null ? [new(first, 0)] : [new(first, 0), new(second, 1)];
        return ToEncoding(_parts.PostProcessor?.Process(segments, addSpecialTokens) ?? segments) with { TruncatedTokens = truncated };
    }

    /// <summary>The tokens of a text and nothing around them; offsets hold the white space that a post-processor may take out of them.</summary>
    public Encoding EncodePlain(string text) => ToEncoding([new(Tokenize(text, null, out _), 0)]);

    /// <summary>True for a token that no ordinary text is made of, such as an end of turn.</summary>
    public bool IsSpecial(int id) => _added.TokenOf(id) is { } token && _added.IsSpecial(token);

    /// <summary>The text that the ids stand for; ids of no token are left out.</summary>
    public string Decode(IReadOnlyList<int> ids, bool skipSpecialTokens = false) =>
        Join([.. ids.Select(id => SpellingOf(id, skipSpecialTokens)).OfType<string>()]);

    /// <summary>What <see cref="Decode"/> decodes for an id; null where it leaves the id out.</summary>
    internal string? SpellingOf(int id, bool skipSpecialTokens) =>
        (_added.SpellingOf(id) ?? _parts.Model.Vocabulary.TokenOf(id)) is { } token && !(skipSpecialTokens && _added.IsSpecial(token)) ? token : null;

    /// <summary>The text of tokens as <see cref="SpellingOf"/> spells them.</summary>
    internal string Join(IReadOnlyList<string> tokens) => _parts.Decoder is { } decoder ? string.Concat(decoder.Decode(tokens)) : string.Join(' ', tokens);

    public int? TokenToId(string token) => _added.IdOf(token) ?? (_parts.Model.Vocabulary.IdOf(token) is var id and >= 0 ? id : null);

    public string? IdToToken(int id) => _added.TokenOf(id) ?? _parts.Model.Vocabulary.TokenOf(id);

    /// <summary>Offsets are in code points of <paramref name="text"/>.</summary>
    /// <param name="counted">The tokens up to the word that reaches <paramref name="limit"/>: there the Rust library stops, and so compares lengths.</param>
    private List<Token> Tokenize(string text, int? limit, out int counted)
    {
        counted = int.MaxValue;
        text = WellFormed(text);
        var words = Divide(text);
        _parts.PreTokenizer?.PreTokenize(words);
        var buffer = words.Text.Chars;
        var origins = words.Text.Origins;
        List<Token> tokens = new(buffer.Length / 3 + 8);
        foreach (var word in words.Splits)
        {
            var part = buffer[word.Start..word.End];
            if (word.AddedId is { } id)
            {
                tokens.Add(new Token(id, word.Start, word.End, part.ToString()));
                continue;
            }
            _parts.Model.Tokenize(part, word.Start, tokens);
            if (tokens.Count >= limit)
                counted = Math.Min(counted, tokens.Count);
        }
        counted = Math.Min(counted, tokens.Count);
        var codePoints = CodePoints(text);
        for (var i = 0; i < tokens.Count; i++)
        {
            var (start, end) = (origins[tokens[i].Start].Start, origins[tokens[i].End - 1].End);
            tokens[i] = tokens[i] with { Start = codePoints?[start] ?? start, End = codePoints?[end] ?? end };
        }
        return tokens;
    }

    /// <summary>Added tokens that match as written, then normalization of what lies between, then added tokens that match normalized.</summary>
    private PreTokenizedString Divide(string text)
    {
        var words = new PreTokenizedString();
        List<Split> sections = [];
        List<Split> parts = [];
        _added.SplitRaw(text, sections);
        foreach (var section in sections)
        {
            var source = NormalizedString.Of(text.AsSpan(section.Start, section.End - section.Start), section.Start);
            if (section.AddedId is not null)
            {
                words.Add(source, 0, source.Length, section.AddedId);
                continue;
            }
            var normalized = _parts.Normalizer?.Normalize(source) ?? source;
            _added.SplitNormalized(normalized.Chars, parts);
            foreach (var part in parts)
                words.Add(normalized, part.Start, part.End, part.AddedId);
        }
        return words;
    }

    /// <summary>Half a surrogate pair is no character: U+FFFD in its place.</summary>
    private static string WellFormed(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
            return text;
        return string.Create(text.Length, text, static (target, source) =>
        {
            for (var i = 0; i < source.Length; i++)
            {
                target[i] = source[i];
                if (char.IsHighSurrogate(source[i]) && i + 1 < source.Length && char.IsLowSurrogate(source[i + 1]))
                    target[++i] = source[i];
                else if (char.IsSurrogate(source[i]))
                    target[i] = '\uFFFD';
            }
        });
    }

    /// <summary>For every position in UTF-16 units the one in code points; null when they are the same.</summary>
    private static int[]? CodePoints(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
            return null;
        var positions = new int[text.Length + 1];
        for (var i = 0; i < text.Length; i++)
            positions[i + 1] = positions[i] + (char.IsHighSurrogate(text[i]) ? 0 : 1);
        return positions;
    }

    private static Encoding ToEncoding(IReadOnlyList<Segment> segments)
    {
        var length = segments.Sum(segment => segment.Tokens.Count);
        var encoding = new Encoding(new int[length], new int[length], new int[length], new (int, int)[length]);
        var at = 0;
        foreach (var segment in segments)
        {
            Array.Fill(encoding.TypeIds, segment.TypeId, at, segment.Tokens.Count);
            Array.Fill(encoding.SpecialTokensMask, segment.IsSpecial ? 1 : 0, at, segment.Tokens.Count);
            foreach (var token in segment.Tokens)
            {
                encoding.Ids[at] = token.Id;
                encoding.Offsets[at++] = (token.Start, token.End);
            }
        }
        return encoding;
    }
}
