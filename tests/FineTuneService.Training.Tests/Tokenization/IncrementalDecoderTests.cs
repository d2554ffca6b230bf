using System.Text.Json;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Tokenization;

public sealed class IncrementalDecoderTests
{
    public static TheoryData<string> Folders => TokenizerTests.GoldenFolders;

    [Theory]
    [MemberData(nameof(Folders))]
    public void The_pieces_together_are_the_whole(string name)
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder(name));
        foreach (var text in GoldenTexts(name))
            foreach (var special in new[] { true, false })
            {
                var ids = tokenizer.Encode(text).Ids;
                Assert.Equal(tokenizer.Decode(ids, special), string.Concat(Pieces(tokenizer, ids, special)));
            }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void A_text_goes_on_from_one_that_is_known(string name)
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder(name));
        foreach (var (known, text) in GoldenTexts(name).Zip(GoldenTexts(name).Skip(1)))
        {
            int[] context = tokenizer.Encode(known, addSpecialTokens: false).Ids, ids = tokenizer.Encode(text, addSpecialTokens: false).Ids;
            var (before, whole) = (tokenizer.Decode(context), tokenizer.Decode([.. context, .. ids]));
            if (whole.StartsWith(before, StringComparison.Ordinal)) // Fallback bytes may spoil those before them.
                Assert.Equal(whole[before.Length..], string.Concat(Pieces(tokenizer, ids, false, context)));
        }
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("mini-unigram-bytes")]
    [InlineData("mini-xlmr")]
    [InlineData("bert-base-uncased")]
    public void So_they_are_for_ids_that_no_text_gives(string name) => HoldsForRandomIds(Tokenizer.Load(GoldenTokenizers.Folder(name)));

    [Fact]
    public void So_they_are_for_a_sentencepiece_model_with_fallback_bytes() => HoldsForRandomIds(Tokenizer.Load(WriteSentencePiece()));

    [Fact]
    public void A_continuation_keeps_the_space_that_a_beginning_would_lose()
    {
        var tokenizer = Tokenizer.Load(WriteSentencePiece());
        var word = tokenizer.TokenToId("▁b")!.Value;

        Assert.Equal("b", new IncrementalDecoder(tokenizer).Add(word));
        Assert.Equal(" b", new IncrementalDecoder(tokenizer, context: [tokenizer.TokenToId("▁a")!.Value]).Add(word));
    }

    [Fact]
    public void Half_a_character_waits_for_the_other_half()
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder("gpt2"));
        var pieces = Pieces(tokenizer, tokenizer.Encode("a🦀b").Ids, false).Where(piece => piece.Length > 0).ToList();

        Assert.True(tokenizer.Encode("🦀").Ids.Length > 1);
        Assert.Equal(["a", "🦀", "b"], pieces);
    }

    private static void HoldsForRandomIds(Tokenizer tokenizer)
    {
        var random = new Random(7);
        for (var round = 0; round < 40; round++)
        {
            // Half of them among the first, where the bytes are.
            int[] ids = [.. Enumerable.Range(0, 150).Select(_ => random.Next(round % 2 == 0 ? Math.Min(300, tokenizer.VocabularySize) : tokenizer.VocabularySize))];
            Assert.Equal(tokenizer.Decode(ids), string.Concat(Pieces(tokenizer, ids, false)));
        }
    }

    private static List<string> Pieces(Tokenizer tokenizer, int[] ids, bool special, int[]? context = null)
    {
        var decoder = new IncrementalDecoder(tokenizer, special, context);
        List<string> pieces = [.. ids.Select(decoder.Add), decoder.Flush()];
        return pieces;
    }

    private static IEnumerable<string> GoldenTexts(string name) =>
        File.ReadLines(GoldenTokenizers.Golden(name)).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!);

    /// <summary>As Llama 2 has it: fallback bytes, ▁ for spaces, one space in front dropped.</summary>
    private static string WriteSentencePiece()
    {
        string[] tokens = ["<unk>", "<s>", "</s>", .. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"), "▁", "a", "b", "▁a", "▁b", "é", "▁▁", "!"];
        var vocabulary = string.Join(", ", tokens.Select((token, id) => $"{GoldenTokenizers.Quote(token)}: {id}"));
        return GoldenTokenizers.Write(
            $$"""{ "type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "vocab": { {{vocabulary}} }, "merges": [["▁", "a"], ["▁", "b"], ["▁", "▁"]] }""",
            """
            , "normalizer": { "type": "Sequence", "normalizers": [{ "type": "Prepend", "prepend": "▁" }, { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }] }
            , "decoder": { "type": "Sequence", "decoders": [{ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" }, { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] }
            """);
    }
}
