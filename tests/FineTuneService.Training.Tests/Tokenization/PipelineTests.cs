using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Tokenization;

/// <summary>Components that no golden folder here has, after the Rust library's rules.</summary>
public sealed class PipelineTests
{
    private const string Bytes = """
        { "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
          "vocab": { "<unk>": 0, "▁": 1, "a": 2, "▁a": 3, "aa": 4, "<0xC3>": 5, "<0xA9>": 6 }, "merges": [["▁", "a"], ["a", "a"]] }
        """;

    private const string LlamaDecoder = """
        "decoder": { "type": "Sequence", "decoders": [
          { "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" }, { "type": "Fuse" },
          { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] }
        """;

    [Fact]
    public void Llama_prepends_its_space_to_every_section_and_writes_unknown_characters_as_bytes()
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Write(Bytes, $$"""
            , {{LlamaDecoder}}, "added_tokens": [{ "id": 7, "content": "<s>", "special": true }],
            "normalizer": { "type": "Sequence", "normalizers": [
              { "type": "Prepend", "prepend": "▁" }, { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }] }
            """));

        var encoding = tokenizer.Encode("aé<s>a😀x");

        Assert.Equal([3, 5, 6, 7, 3, 0], encoding.Ids);
        Assert.Equal([(0, 1), (1, 2), (1, 2), (2, 5), (5, 6), (6, 8)], encoding.Offsets);
        Assert.Equal("aé<s> a", tokenizer.Decode([3, 5, 6, 7, 3]));
        Assert.Equal("a\uFFFDa", tokenizer.Decode([3, 5, 2]));
        Assert.Equal("aé a", tokenizer.Decode([3, 5, 6, 7, 3], skipSpecialTokens: true));
    }

    [Fact]
    public void Metaspace_first_prepends_only_where_the_text_begins()
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Write(Bytes, """
            , "added_tokens": [{ "id": 7, "content": "<s>", "special": true }],
            "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false }
            """));

        Assert.Equal([3, 7, 2, 3], tokenizer.Encode("a<s>a a").Ids);
        Assert.Equal([7, 2], tokenizer.Encode("<s>a").Ids);
    }

    [Fact]
    public void A_very_long_word_is_merged_in_little_more_than_linear_steps()
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Write(Bytes));

        var encoding = tokenizer.Encode(new string('a', 1_000_001));

        Assert.Equal(500_001, encoding.Ids.Length);
        Assert.Equal((4, 2), (encoding.Ids[0], encoding.Ids[^1]));
    }

    [Theory]
    [InlineData("Removed", "a b", "a|b")]
    [InlineData("Isolated", "a--b-", "a|-|-|b|-")]
    [InlineData("MergedWithPrevious", "-the-final--countdown", "-|the-|final-|-|countdown")]
    [InlineData("MergedWithNext", "the-final--countdown-", "the|-final|-|-countdown|-")]
    [InlineData("Contiguous", "the-final--countdown", "the|-|final|--|countdown")]
    public void Delimiters_go_where_the_behaviour_puts_them(string behavior, string text, string expected)
    {
        var pieces = expected.Split('|');
        var vocabulary = string.Join(", ", pieces.Distinct().Select((piece, id) => $"{GoldenTokenizers.Quote(piece)}: {id + 1}"));
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Write(
            $$"""{ "type": "WordLevel", "unk_token": "?", "vocab": { "?": 0, {{vocabulary}} } }""",
            $$""", "pre_tokenizer": { "type": "Split", "pattern": { "Regex": "[- ]" }, "behavior": "{{behavior}}", "invert": false }"""));

        Assert.Equal(pieces, tokenizer.Encode(text).Ids.Select(id => tokenizer.IdToToken(id)));
    }

    [Theory]
    [InlineData(@"\w+", "𝒳a ʼ𐐀\u0903\u200D-", "𝒳a|ʼ𐐀\u0903\u200D")]
    [InlineData(@"[^\s\p{L}]+", "a😀1 b", "😀1")]
    [InlineData(@"\p{N}", "𝟘٣", "𝟘|٣")]
    public void Patterns_see_characters_outside_the_basic_plane(string pattern, string text, string expected)
    {
        var pieces = expected.Split('|');
        var vocabulary = string.Join(", ", pieces.Select((piece, id) => $"{GoldenTokenizers.Quote(piece)}: {id + 1}"));
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Write(
            $$"""{ "type": "WordLevel", "unk_token": "?", "vocab": { "?": 0, {{vocabulary}} } }""",
            $$""", "pre_tokenizer": { "type": "Split", "pattern": { "Regex": {{GoldenTokenizers.Quote(pattern)}} }, "behavior": "Removed", "invert": true }"""));

        Assert.Equal(pieces, tokenizer.Encode(text).Ids.Select(id => tokenizer.IdToToken(id)));
    }

    [Theory]
    [InlineData("""{ "type": "BPEDecoder", "suffix": "</w>" }""", "lo|w</w>|er</w>", "low er")]
    [InlineData("""{ "type": "CTC", "pad_token": "_", "word_delimiter_token": "|", "cleanup": true }""", "h|h|_|i", "hi")]
    [InlineData("""{ "type": "WordPiece", "prefix": "##", "cleanup": true }""", "do|n't|##s|!", "don'ts!")]
    [InlineData("null", "a|b", "a b")]
    public void Decoders_join_pieces_in_their_own_way(string decoder, string tokens, string expected)
    {
        var pieces = tokens.Split('|');
        var vocabulary = string.Join(", ", pieces.Distinct().Select((piece, id) => $"{GoldenTokenizers.Quote(piece)}: {id + 1}"));
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Write(
            $$"""{ "type": "WordLevel", "unk_token": "?", "vocab": { "?": 0, {{vocabulary}} } }""",
            $$""", "decoder": {{decoder}} """));

        Assert.Equal(expected, tokenizer.Decode([.. pieces.Select(piece => tokenizer.TokenToId(piece)!.Value)]));
    }
}
