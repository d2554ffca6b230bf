using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tokenization;

/// <summary>
/// Folders with a sentencepiece model and no <c>tokenizer.json</c>: the model is written anew as the tokenizer.json that transformers would make of it,
/// by <c>tokenizer_class</c>. Unigram models need a class that is known: the pieces alone do not tell where the special tokens go.
/// </summary>
internal static class SentencePieceFiles
{
    private const string Space = "▁";

    public static readonly string[] Names = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model"];

    /// <exception cref="FaultException">When the model is damaged, or its class unknown.</exception>
    public static TokenizerParts Read(string file, TokenizerConfig config)
    {
        var model = SentencePieceModel.Load(file);
        var family = config.TokenizerClass?.Replace("Fast", "", StringComparison.Ordinal).Replace("Tokenizer", "", StringComparison.Ordinal);
        var json = (model.IsBpe, family) switch
        {
            (true, "Gemma") => Gemma(model, config),
            (true, _) => Llama(model, config),
            (false, "T5") => T5(model, config),
            (false, "Albert") => Albert(model, config),
            (false, "XLMRoberta") => XlmRoberta(model),
            (false, "DebertaV2") => DebertaV2(model, config),
            _ => throw new FaultException(
                file, config.TokenizerClass, "Of this tokenizer_class it is not known here where the special tokens go.",
                "Add a tokenizer.json (save_pretrained of transformers' fast tokenizer writes one). Known without: T5, Albert, XLMRoberta, DebertaV2, and every BPE model."),
        };
        return TokenizerParts.Read(new(JsonSerializer.SerializeToElement(json), file, ""));
    }

    private static JsonObject Llama(SentencePieceModel model, TokenizerConfig config)
    {
        // legacy: every stretch between special tokens begins a word, not only the text (transformers pull request 24565).
        var legacy = config.Flag("legacy", true);
        var prepends = config.Flag("add_prefix_space", true);
        var toSpaces = Replace(Space, " ");
        return new()
        {
            ["added_tokens"] = SpecialPieces(model),
            ["normalizer"] = legacy ? Sequence("normalizers", [.. prepends ? new JsonNode[] { Component("Prepend", ("prepend", Space)) } : [], Replace(" ", Space)]) : null,
            ["pre_tokenizer"] = legacy ? null : Component("Metaspace", ("replacement", Space), ("prepend_scheme", prepends ? "first" : "never"), ("split", false)),
            ["model"] = Bpe(model),
            ["post_processor"] = Template(model, config, begins: config.Flag("add_bos_token", true), ends: config.Flag("add_eos_token", false)),
            ["decoder"] = Sequence("decoders", [toSpaces, Component("ByteFallback"), Component("Fuse"), .. prepends ? new JsonNode[] { Component("Strip", ("content", " "), ("start", 1), ("stop", 0)) } : []]),
        };
    }

    private static JsonObject Gemma(SentencePieceModel model, TokenizerConfig config) => new()
    {
        ["added_tokens"] = SpecialPieces(model),
        ["normalizer"] = Replace(" ", Space),
        ["pre_tokenizer"] = Component("Split", ("pattern", new JsonObject { ["String"] = " " }), ("behavior", "MergedWithPrevious"), ("invert", false)),
        ["model"] = Bpe(model),
        ["post_processor"] = Template(model, config, begins: config.Flag("add_bos_token", true), ends: config.Flag("add_eos_token", false)),
        ["decoder"] = Sequence("decoders", [Replace(Space, " "), Component("ByteFallback"), Component("Fuse")]),
    };

    private static JsonObject T5(SentencePieceModel model, TokenizerConfig config)
    {
        const int Sentinels = 100;
        var sentinels = Enumerable.Range(0, config.Number("extra_ids", Sentinels)).Reverse().Select(number => $"<extra_id_{number}>").ToArray();
        return new()
        {
            ["added_tokens"] = new JsonArray([.. SpecialTexts(model).Concat(sentinels).Select(text => Added(text))]),
            ["normalizer"] = Charsmap(model),
            ["pre_tokenizer"] = Words(),
            ["model"] = Unigram([.. model.Pieces, .. sentinels.Select(text => new SentencePiece(text, 0, PieceType.UserDefined))]),
            ["post_processor"] = Template(["A", "</s>"], ["A", "</s>", "B", "</s>"], pairTypes: [0, 0, 0, 0], IdsOf(model)),
            ["decoder"] = Metaspace(),
        };
    }

    private static JsonObject Albert(SentencePieceModel model, TokenizerConfig config) => new()
    {
        ["added_tokens"] = new JsonArray([.. SpecialTexts(model).Select(text => Added(text, lstrip: text == "[MASK]"))]),
        ["normalizer"] = Sequence("normalizers",
        [
            Replace("``", "\""),
            Replace("''", "\""),
            .. config.Flag("keep_accents", false) ? [] : new JsonNode[] { Component("NFKD"), Component("StripAccents") },
            .. config.Flag("do_lower_case", true) ? new JsonNode[] { Component("Lowercase") } : [],
            .. Charsmap(model) is { } charsmap ? new[] { charsmap } : [],
            SingleSpaces(),
        ]),
        ["pre_tokenizer"] = Metaspace(),
        ["model"] = Unigram(model.Pieces),
        ["post_processor"] = BertTemplate(model),
        ["decoder"] = Metaspace(),
    };

    /// <summary>fairseq's order of ids: <c>&lt;s&gt; &lt;pad&gt; &lt;/s&gt; &lt;unk&gt;</c> and then the pieces without their first three, and <c>&lt;mask&gt;</c>.</summary>
    private static JsonObject XlmRoberta(SentencePieceModel model)
    {
        string[] first = ["<s>", "<pad>", "</s>", "<unk>"];
        SentencePiece[] pieces = [.. first.Select(text => new SentencePiece(text, 0, PieceType.Control)), .. model.Pieces.Skip(3), new("<mask>", 0, PieceType.UserDefined)];
        var ids = pieces.Index().ToDictionary(piece => piece.Item.Text, piece => piece.Index);
        return new()
        {
            ["added_tokens"] = new JsonArray([.. first.Select(text => Added(text)), Added("<mask>", lstrip: true)]),
            ["normalizer"] = Charsmap(model),
            ["pre_tokenizer"] = Words(),
            ["model"] = Unigram(pieces),
            ["post_processor"] = Template(["<s>", "A", "</s>"], ["<s>", "A", "</s>", "</s>", "B", "</s>"], pairTypes: [0, 0, 0, 0, 0, 0], ids),
            ["decoder"] = Metaspace(),
        };
    }

    private static JsonObject DebertaV2(SentencePieceModel model, TokenizerConfig config)
    {
        var mask = config.SpecialToken("mask_token") ?? "[MASK]";
        return new()
        {
            ["added_tokens"] = new JsonArray([.. SpecialTexts(model).Append(mask).Distinct().Select(text => Added(text))]),
            ["normalizer"] = Sequence("normalizers",
            [
                .. config.Flag("do_lower_case", false) ? new JsonNode[] { Component("Lowercase") } : [],
                Component("Strip", ("strip_left", true), ("strip_right", true)),
                .. Charsmap(model) is { } charsmap ? new[] { charsmap } : [],
                SingleSpaces(),
            ]),
            ["pre_tokenizer"] = Sequence("pretokenizers", [.. config.Flag("split_by_punct", false) ? new JsonNode[] { Component("Punctuation", ("behavior", "Isolated")) } : [], Metaspace()]),
            ["model"] = Unigram(model.Pieces),
            ["post_processor"] = BertTemplate(model),
            ["decoder"] = Metaspace(),
        };
    }

    private static JsonObject Unigram(IReadOnlyList<SentencePiece> pieces)
    {
        var unknown = pieces.Index().First(piece => piece.Item.Type == PieceType.Unknown || piece.Item.Text == "<unk>").Index;
        return Component("Unigram", ("unk_id", unknown), ("vocab", new JsonArray([.. pieces.Select(piece => new JsonArray(piece.Text, (double)piece.Score))])));
    }

    /// <summary>
    /// The file has no merges: every division of a piece into two pieces is one, the better-scored result first,
    /// then the longer parts (transformers' <c>generate_merges</c>).
    /// </summary>
    private static JsonObject Bpe(SentencePieceModel model)
    {
        var ids = IdsOf(model);
        var merges =
            from piece in model.Pieces
            where piece.Type is not (PieceType.Control or PieceType.Unknown or PieceType.Byte)
            from cut in Enumerable.Range(1, Math.Max(0, piece.Text.Length - 1))
            where !char.IsLowSurrogate(piece.Text[cut])
            let left = piece.Text[..cut]
            let right = piece.Text[cut..]
            where ids.ContainsKey(left) && ids.ContainsKey(right)
            orderby piece.Score descending, ids[left], ids[right]
            select (JsonNode)new JsonArray(left, right);
        return Component(
            "BPE", ("unk_token", model.Pieces.FirstOrDefault(piece => piece.Type == PieceType.Unknown)?.Text), ("fuse_unk", true), ("byte_fallback", model.ByteFallback),
            ("vocab", new JsonObject(model.Pieces.Select((piece, id) => KeyValuePair.Create(piece.Text, (JsonNode?)id)))), ("merges", new JsonArray([.. merges])));
    }

    private static JsonObject? Template(SentencePieceModel model, TokenizerConfig config, bool begins, bool ends)
    {
        if (!begins && !ends)
            return null;
        string[] bos = begins ? [config.SpecialToken("bos_token") ?? "<s>"] : [], eos = ends ? [config.SpecialToken("eos_token") ?? "</s>"] : [];
        var half = bos.Length + 1 + eos.Length;
        return Template([.. bos, "A", .. eos], [.. bos, "A", .. eos, .. bos, "B", .. eos], [.. Enumerable.Repeat(0, half), .. Enumerable.Repeat(1, half)], IdsOf(model));
    }

    private static JsonObject BertTemplate(SentencePieceModel model) =>
        Template(["[CLS]", "A", "[SEP]"], ["[CLS]", "A", "[SEP]", "B", "[SEP]"], pairTypes: [0, 0, 0, 1, 1], IdsOf(model));

    private static JsonObject Template(string[] single, string[] pair, int[] pairTypes, Dictionary<string, int> ids)
    {
        var special = pair.Where(part => part is not ("A" or "B")).Distinct();
        return Component(
            "TemplateProcessing",
            ("single", new JsonArray([.. single.Select(part => Part(part, 0))])),
            ("pair", new JsonArray([.. pair.Zip(pairTypes, Part)])),
            ("special_tokens", new JsonObject(special.Select(text => KeyValuePair.Create(text, (JsonNode?)new JsonObject { ["id"] = text, ["ids"] = new JsonArray(ids[text]), ["tokens"] = new JsonArray(text) })))));

        static JsonNode Part(string text, int type) =>
            new JsonObject { [text is "A" or "B" ? "Sequence" : "SpecialToken"] = new JsonObject { ["id"] = text, ["type_id"] = type } };
    }

    private static JsonObject? Charsmap(SentencePieceModel model) =>
        model.Charsmap.Length == 0 ? null : Component("Precompiled", ("precompiled_charsmap", Convert.ToBase64String(model.Charsmap)));

    private static JsonObject Words() => Sequence("pretokenizers", [Component("WhitespaceSplit"), Metaspace()]);

    private static JsonObject Metaspace() => Component("Metaspace", ("replacement", Space), ("prepend_scheme", "always"), ("split", true));

    /// <summary>BPE families also recognise the pieces that their makers defined by hand, such as Gemma's <c>&lt;start_of_turn&gt;</c>.</summary>
    private static JsonArray SpecialPieces(SentencePieceModel model) =>
        new([.. SpecialTexts(model).Select(text => Added(text)), .. model.Pieces.Where(piece => piece.Type == PieceType.UserDefined).Select(piece => Added(piece.Text, special: false))]);

    private static IEnumerable<string> SpecialTexts(SentencePieceModel model) =>
        model.Pieces.Where(piece => piece.Type is PieceType.Control or PieceType.Unknown).Select(piece => piece.Text);

    private static JsonObject Added(string text, bool lstrip = false, bool special = true) =>
        new() { ["content"] = text, ["lstrip"] = lstrip, ["special"] = special, ["normalized"] = false };

    private static Dictionary<string, int> IdsOf(SentencePieceModel model) => model.Pieces.Index().ToDictionary(piece => piece.Item.Text, piece => piece.Index);

    private static JsonObject Replace(string old, string content) => Component("Replace", ("pattern", new JsonObject { ["String"] = old }), ("content", content));

    private static JsonObject SingleSpaces() => Component("Replace", ("pattern", new JsonObject { ["Regex"] = " {2,}" }), ("content", " "));

    private static JsonObject Sequence(string member, JsonNode[] parts) => Component("Sequence", (member, new JsonArray(parts)));

    private static JsonObject Component(string type, params (string Name, JsonNode? Value)[] members) =>
        new(members.Select(member => KeyValuePair.Create(member.Name, member.Value)).Prepend(KeyValuePair.Create("type", (JsonNode?)type)));
}
