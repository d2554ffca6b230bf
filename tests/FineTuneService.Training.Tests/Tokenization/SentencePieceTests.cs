using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Tokenization;

/// <summary>Folders with a sentencepiece model alone. The real one, albert-base-v2-spiece, is among the golden folders of <see cref="TokenizerTests"/>.</summary>
public sealed class SentencePieceTests
{
    private const string XlmRoberta = """{ "tokenizer_class": "XLMRobertaTokenizerFast" }""";

    /// <summary>The golden tokenizer's pieces, written as sentencepiece's file and read again.</summary>
    [Fact]
    public void XLM_RoBERTa_has_fairseqs_ids()
    {
        var json = GoldenTokenizers.Json("mini-xlmr");
        var pieces = json["model"]!["vocab"]!.AsArray().Select(piece => (piece![0]!.GetValue<string>(), piece[1]!.GetValue<float>(), Normal)).ToArray();
        var file = Model(
            [("<unk>", 0, Unknown), ("<s>", 0, Control), ("</s>", 0, Control), .. pieces[4..^1]],
            isBpe: false,
            Convert.FromBase64String(json["normalizer"]!["precompiled_charsmap"]!.GetValue<string>()));

        Assert.Empty(TokenizerVerification.Verify(Tokenizer.Load(Folder("sentencepiece.bpe.model", file, XlmRoberta)), GoldenTokenizers.Golden("mini-xlmr")).Differences);
    }

    [Theory]
    [InlineData("""{ "tokenizer_class": "LlamaTokenizer" }""", "aab b", new[] { 1, 263, 261, 262 })]
    [InlineData("""{ "tokenizer_class": "LlamaTokenizer", "add_bos_token": false, "add_eos_token": true }""", "b", new[] { 262, 2 })]
    [InlineData("""{ "tokenizer_class": "GemmaTokenizer" }""", "b\u00e9", new[] { 1, 260, 198, 172 })]
    public void A_BPE_model_gets_its_merges_from_its_scores(string config, string text, int[] ids)
    {
        var bytes = Enumerable.Range(0, 256).Select(value => ($"<0x{value:X2}>", 0f, Byte));
        // ids: 259 a, 260 b, 261 ab, 262 ▁b, 263 ▁a
        var file = Model([("<unk>", 0, Unknown), ("<s>", 0, Control), ("</s>", 0, Control), .. bytes, ("a", -10, Normal), ("b", -11, Normal), ("ab", -1, Normal), ("▁b", -2, Normal), ("▁a", -3, Normal), ("▁", -9, Normal)], isBpe: true);

        Assert.Equal(ids, Tokenizer.Load(Folder("tokenizer.model", file, config)).Encode(text).Ids);
    }

    [Theory]
    [InlineData(new byte[] { 0x0A, 0x7F, 1 }, "beyond the data")]
    [InlineData(new byte[] { 0x0B }, "wire type 3")]
    [InlineData(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF }, "unfinished number")]
    [InlineData(new byte[0], "no pieces")]
    public void A_damaged_model_is_refused(byte[] file, string told) => Assert.Contains(told, Fault(file, "{}").Message, StringComparison.Ordinal);

    [Fact]
    public void A_unigram_model_of_an_unknown_class_is_refused_rather_than_guessed()
    {
        var fault = Fault(Model([("<unk>", 0, Unknown), ("a", -1, Normal)], isBpe: false), """{ "tokenizer_class": "PegasusTokenizer" }""");

        Assert.Equal("PegasusTokenizer", fault.Value);
        Assert.Contains("tokenizer.json", fault.Remedy, StringComparison.Ordinal);
    }

    private const int Normal = 1, Unknown = 2, Control = 3, Byte = 6;

    private static Fault Fault(byte[] file, string config) => Assert.Single(Assert.Throws<FaultException>(() => Tokenizer.Load(Folder("tokenizer.model", file, config))).Faults);

    private static string Folder(string name, byte[] model, string config)
    {
        var folder = GoldenTokenizers.Write(("tokenizer_config.json", config));
        File.WriteAllBytes(Path.Combine(folder, name), model);
        return folder;
    }

    /// <summary>A ModelProto: pieces (1), trainer_spec (2) with model_type (3) and byte_fallback (35), normalizer_spec (3) with the character map (2).</summary>
    private static byte[] Model(IEnumerable<(string Text, float Score, int Type)> pieces, bool isBpe, byte[]? charsmap = null) =>
    [
        .. pieces.SelectMany(piece => Bytes(1, [.. Bytes(1, System.Text.Encoding.UTF8.GetBytes(piece.Text)), 2 << 3 | 5, .. BitConverter.GetBytes(piece.Score), 3 << 3, (byte)piece.Type])),
        .. Bytes(2, [3 << 3, (byte)(isBpe ? 2 : 1), .. Varint(35 << 3), (byte)(isBpe ? 1 : 0)]),
        .. Bytes(3, charsmap is null ? [] : Bytes(2, charsmap)),
    ];

    private static byte[] Bytes(int field, byte[] content) => [(byte)(field << 3 | 2), .. Varint(content.Length), .. content];

    private static byte[] Varint(int value) => value < 0x80 ? [(byte)value] : [(byte)(value & 0x7F | 0x80), .. Varint(value >> 7)];
}
