using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Tokenization;

public sealed class VocabularyFilesTests
{
    [Theory]
    [InlineData("bert-base-uncased", """{ "do_lower_case": true }""")]
    [InlineData("bert-base-uncased", null)]
    [InlineData("bert-base-cased", """{ "do_lower_case": false }""")]
    public void A_vocab_txt_is_BERT(string name, string? config)
    {
        (string, string)[] files = [("vocab.txt", string.Join('\n', GoldenTokenizers.Tokens(GoldenTokenizers.Json(name))))];
        var folder = GoldenTokenizers.Write([.. files, .. config is null ? [] : new[] { ("tokenizer_config.json", config) }]);

        Assert.Empty(TokenizerVerification.Verify(Tokenizer.Load(folder), GoldenTokenizers.Golden(name)).Differences);
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("roberta-base")]
    public void A_vocab_json_with_merges_is_GPT2_or_with_its_special_tokens_RoBERTa(string name)
    {
        var model = GoldenTokenizers.Json(name)["model"]!;
        var folder = GoldenTokenizers.Write(("vocab.json", model["vocab"]!.ToJsonString()), ("merges.txt", $"#version: 0.2\n{Lines(model["merges"]!)}\n"));

        Assert.Empty(TokenizerVerification.Verify(Tokenizer.Load(folder), GoldenTokenizers.Golden(name)).Differences);
    }

    [Fact]
    public void A_merge_may_begin_with_a_hash()
    {
        var folder = GoldenTokenizers.Write(("vocab.json", """{ "#": 0, "##": 1 }"""), ("merges.txt", "# #\n"));

        Assert.Equal([1, 0], Tokenizer.Load(folder).Encode("###").Ids);
    }

    [Fact]
    public void A_merge_of_unknown_tokens_names_its_line()
    {
        var folder = GoldenTokenizers.Write(("vocab.json", """{ "a": 0, "b": 1, "ab": 2 }"""), ("merges.txt", "#version: 0.2\na b\na x\n"));

        var fault = Assert.Single(Assert.Throws<FaultException>(() => Tokenizer.Load(folder)).Faults);
        Assert.Equal(Path.Combine(folder, "merges.txt") + ":3", fault.Pointer);
        Assert.Contains("'x'", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vocabulary_without_BERTs_special_tokens_is_refused()
    {
        var fault = Assert.Single(Assert.Throws<FaultException>(() => Tokenizer.Load(GoldenTokenizers.Write(("vocab.txt", "[PAD]\n[UNK]\na\n")))).Faults);
        Assert.Equal("[CLS]", fault.Value);
    }

    private static string Lines(JsonNode merges) => string.Join('\n', merges.AsArray().Select(merge => merge!.GetValue<string>()));
}
