using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Tokenization;

public sealed class TokenizerTests
{
    private static readonly JsonSerializerOptions Json = SnakeCaseJson.Create();

    public static TheoryData<string> GoldenFolders => [.. Directory.GetDirectories(GoldenTokenizers.Root).Select(Path.GetFileName).OfType<string>().Order()];

    public sealed record TruncationCase(string Tokenizer, string Text, string? Pair, int MaxLength, int[] Ids, int[] TypeIds);

    [Theory]
    [MemberData(nameof(GoldenFolders))]
    public void Equals_the_Rust_library(string name)
    {
        var report = TokenizerVerification.Verify(Tokenizer.Load(GoldenTokenizers.Folder(name)), GoldenTokenizers.Golden(name));

        Assert.Empty(report.Differences);
        Assert.All(report.Aspects, aspect => Assert.Equal(aspect.Total, aspect.Equal));
        Assert.Equal(167, report.Aspects[0].Total);
        Assert.Equal(6, report.Aspects[^1].Total);
    }

    [Fact]
    public void The_four_families_of_the_first_models_are_among_the_golden_ones() =>
        Assert.Empty(new[] { "bert-base-uncased", "bert-base-cased", "roberta-base", "gpt2" }.Except(GoldenFolders.Select(row => row.Data)));

    [Fact]
    public void Truncates_the_longest_first_as_the_Rust_library_does()
    {
        var tokenizers = new[] { "bert-base-uncased", "roberta-base" }.ToDictionary(name => name, name => Tokenizer.Load(GoldenTokenizers.Folder(name)));
        var cases = File.ReadLines(Path.Combine(GoldenTokenizers.Root, "truncation.jsonl")).Select(line => JsonSerializer.Deserialize<TruncationCase>(line, Json)!).ToList();

        Assert.Equal(180, cases.Count);
        Assert.All(cases, one =>
        {
            var tokenizer = tokenizers[one.Tokenizer];
            var encoding = tokenizer.Encode(one.Text, one.Pair, maxLength: one.MaxLength);
            Assert.Equal(one.Ids, encoding.Ids);
            Assert.Equal(one.TypeIds, encoding.TypeIds);
            Assert.Equal(tokenizer.Encode(one.Text, one.Pair).Ids.Length - one.Ids.Length, encoding.TruncatedTokens);
        });
    }

    [Fact]
    public void A_length_without_room_for_the_special_tokens_is_refused()
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder("mini-wordlevel"));

        Assert.Equal([1, 2], tokenizer.Encode("new", maxLength: 2).Ids);
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.Encode("new", maxLength: 1));
        Assert.Empty(tokenizer.Encode("new", addSpecialTokens: false, maxLength: 0).Ids);
    }

    [Theory]
    [MemberData(nameof(GoldenFolders))]
    public void Half_a_surrogate_pair_is_read_as_the_replacement_character(string name)
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder(name));
        foreach (var broken in new[] { "\ud83d", "\ude00", "a\ud83d", "\ude00\ud83d", "new \ud83d\ud83d\ude00 \ude00\u0301 cat\ud800", "\udc00<mask>\ud800[SEP]" })
        {
            var mended = System.Text.Encoding.UTF32.GetString(System.Text.Encoding.UTF32.GetBytes(broken));
            var (actual, expected) = (tokenizer.Encode(broken, broken), tokenizer.Encode(mended, mended));
            Assert.Equal(expected.Ids, actual.Ids);
            Assert.Equal(expected.Offsets, actual.Offsets);
        }
    }

    [Theory]
    [InlineData("bert-base-uncased")]
    [InlineData("roberta-base")]
    [InlineData("mini-xlmr")]
    public async Task Eight_threads_get_what_one_gets(string name)
    {
        var texts = File.ReadLines(GoldenTokenizers.Golden(name)).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!).ToArray();
        var alone = Tokenizer.Load(GoldenTokenizers.Folder(name));
        var expected = texts.Select(text => alone.Encode(text)).ToArray();
        var shared = Tokenizer.Load(GoldenTokenizers.Folder(name));

        var results = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => texts.Select(text => shared.Encode(text)).ToArray())));

        Assert.All(results, result => Assert.All(result.Zip(expected), pair =>
        {
            Assert.Equal(pair.Second.Ids, pair.First.Ids);
            Assert.Equal(pair.Second.Offsets, pair.First.Offsets);
        }));
    }

    [Fact]
    public void Special_tokens_come_from_the_configuration_or_else_from_what_the_added_tokens_are_known_to_mean()
    {
        var bert = Tokenizer.Load(GoldenTokenizers.Folder("bert-base-uncased"));
        Assert.Equal((0, 101, 102, 103, 100), (bert.PadTokenId, bert.ClsTokenId, bert.SepTokenId, bert.MaskTokenId, bert.UnkTokenId));
        Assert.Null(bert.BosTokenId);

        var roberta = Tokenizer.Load(GoldenTokenizers.Folder("roberta-base"));
        Assert.Equal((1, 0, 2, 50264, 3), (roberta.PadTokenId, roberta.ClsTokenId, roberta.SepTokenId, roberta.MaskTokenId, roberta.UnkTokenId));
        Assert.Equal((0, 2), (roberta.BosTokenId, roberta.EosTokenId));

        var gpt2 = Tokenizer.Load(GoldenTokenizers.Folder("gpt2"));
        Assert.Equal((50256, 50256), (gpt2.BosTokenId, gpt2.EosTokenId));
        Assert.Null(gpt2.PadTokenId);
        Assert.Null(gpt2.ClsTokenId);
    }

    [Fact]
    public void A_special_token_may_be_an_object_and_null_means_none()
    {
        var folder = GoldenTokenizers.Write(
            ("tokenizer.json", File.ReadAllText(Path.Combine(GoldenTokenizers.Folder("mini-wordlevel"), "tokenizer.json"))),
            ("tokenizer_config.json", """{ "cls_token": { "content": "[SEP]", "lstrip": false }, "unk_token": null, "padding_side": "left", "model_max_length": 77 }"""),
            ("special_tokens_map.json", """{ "pad_token": "[CLS]" }"""));
        var tokenizer = Tokenizer.Load(folder);

        Assert.Equal((2, 1), (tokenizer.ClsTokenId, tokenizer.PadTokenId));
        Assert.Null(tokenizer.UnkTokenId);
        Assert.Equal(("left", 77), (tokenizer.PadSide, tokenizer.ModelMaxLength));
        Assert.Equal(["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"], tokenizer.Files);
    }

    [Fact]
    public void An_absurd_length_limit_is_none()
    {
        Assert.Null(Tokenizer.Load(GoldenTokenizers.Folder("bert-base-uncased")).ModelMaxLength);
        Assert.Null(Tokenizer.Load(GoldenTokenizers.Folder("gpt2")).ModelMaxLength);
        Assert.Equal(512, Tokenizer.Load(GoldenTokenizers.Folder("roberta-base")).ModelMaxLength);
    }

    [Fact]
    public void Tokens_that_only_the_configuration_adds_get_the_next_ids()
    {
        var folder = GoldenTokenizers.Write(
            ("tokenizer.json", File.ReadAllText(Path.Combine(GoldenTokenizers.Folder("mini-wordlevel"), "tokenizer.json"))),
            ("tokenizer_config.json", """{ "added_tokens_decoder": { "32": { "content": "<tool>", "special": true }, "0": { "content": "[UNK]", "special": true } } }"""));
        var before = Tokenizer.Load(GoldenTokenizers.Folder("mini-wordlevel"));
        var tokenizer = Tokenizer.Load(folder);

        Assert.Equal(before.VocabularySize + 1, tokenizer.VocabularySize);
        Assert.Equal(before.VocabularySize, tokenizer.TokenToId("<tool>"));
        Assert.Equal("<tool>", tokenizer.IdToToken(before.VocabularySize));
        Assert.Equal([before.VocabularySize], tokenizer.Encode("<tool>", addSpecialTokens: false).Ids);
        Assert.Equal("", tokenizer.Decode([before.VocabularySize], skipSpecialTokens: true));
    }

    [Fact]
    public void Every_id_has_its_token()
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder("gpt2"));

        Assert.Equal(50257, tokenizer.VocabularySize);
        Assert.All(Enumerable.Range(0, tokenizer.VocabularySize), id => Assert.Equal(id, tokenizer.TokenToId(tokenizer.IdToToken(id)!)));
        Assert.Null(tokenizer.IdToToken(tokenizer.VocabularySize));
        Assert.Null(tokenizer.TokenToId("no such token"));
        Assert.Equal("", tokenizer.Decode([-1, 99999]));
    }
}
