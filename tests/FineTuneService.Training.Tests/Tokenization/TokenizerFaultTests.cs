using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Tokenization;

public sealed class TokenizerFaultTests
{
    private const string Words = """{ "type": "WordLevel", "vocab": { "a": 0, "?": 1 }, "unk_token": "?" }""";

    [Fact]
    public void An_empty_folder_is_told_what_to_add()
    {
        var fault = FaultOf(GoldenTokenizers.Write());
        Assert.Contains("tokenizer.json", fault.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    public void Damaged_JSON_names_file_and_line(string name)
    {
        var folder = GoldenTokenizers.Write(("tokenizer.json", $$"""{ "model": {{Words}} }"""), (name, "{\n\n  \"model\": {,\n}"));
        Assert.Equal(Path.Combine(folder, name) + ":3", FaultOf(folder).Pointer);
    }

    [Theory]
    [InlineData(""" "normalizer": { "type": "Sequence", "normalizers": [{ "type": "NFC" }, { "type": "Odd" }] } """, "/normalizer/normalizers/1/type")]
    [InlineData(""" "pre_tokenizer": { "type": "Odd" } """, "/pre_tokenizer/type")]
    [InlineData(""" "post_processor": { "type": "Odd" } """, "/post_processor/type")]
    [InlineData(""" "decoder": { "type": "Odd" } """, "/decoder/type")]
    [InlineData(""" "decoder": { "type": "Strip", "content": "ab", "start": 1, "stop": 0 } """, "/decoder/content")]
    [InlineData(""" "pre_tokenizer": [1] """, "/pre_tokenizer")]
    [InlineData(""" "pre_tokenizer": { "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated" } """, "/pre_tokenizer/pattern/Regex")]
    [InlineData(""" "pre_tokenizer": { "type": "Split", "pattern": { "String": " " }, "behavior": "Sideways" } """, "/pre_tokenizer/behavior")]
    [InlineData(""" "pre_tokenizer": { "type": "Metaspace", "replacement": "_", "prepend_scheme": "sometimes" } """, "/pre_tokenizer/prepend_scheme")]
    [InlineData(""" "normalizer": { "type": "Precompiled", "precompiled_charsmap": "AAAA" } """, "/normalizer/precompiled_charsmap")]
    [InlineData(""" "normalizer": { "type": "Precompiled", "precompiled_charsmap": "?" } """, "/normalizer/precompiled_charsmap")]
    [InlineData(""" "post_processor": { "type": "BertProcessing", "sep": ["a", -1], "cls": ["a", 0] } """, "/post_processor/cls/1", "/post_processor/sep/1")]
    [InlineData(""" "post_processor": { "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "x" } }], "pair": [], "special_tokens": {} } """, "/post_processor/single/0/SpecialToken")]
    [InlineData(""" "added_tokens": [{ "id": 1 }] """, "/added_tokens/0")]
    [InlineData(""" "added_tokens": [{ "id": 1, "content": "\ud800" }] """, "/added_tokens/0/content")]
    public void A_component_that_cannot_be_understood_names_its_place(string member, params string[] pointers)
    {
        var folder = GoldenTokenizers.Write(Words, ", " + member);
        Assert.Contains(FaultOf(folder).Pointer, pointers.Select(pointer => $"{Path.Combine(folder, "tokenizer.json")}#{pointer}"));
    }

    [Theory]
    [InlineData("""{ "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": ["a b", "a c"] }""", "/model/merges/1")]
    [InlineData("""{ "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": [["a", "b"], ["b", "a"]] }""", "/model/merges/1")]
    [InlineData("""{ "type": "BPE", "vocab": { "a": 0 }, "merges": ["a"] }""", "/model/merges/0")]
    [InlineData("""{ "type": "BPE", "vocab": { "a": 0 }, "merges": [], "unk_token": "?" }""", "/model/unk_token")]
    [InlineData("""{ "type": "BPE", "vocab": { "a": "x" }, "merges": [] }""", "/model/vocab/a")]
    [InlineData("""{ "type": "BPE", "vocab": [], "merges": [] }""", "/model/vocab")]
    [InlineData("""{ "type": "WordPiece", "vocab": { "a": 0 } }""", "/model")]
    [InlineData("""{ "type": "WordLevel", "vocab": { "a": 0 }, "unk_token": "?" }""", "/model/unk_token")]
    [InlineData("""{ "type": "Unigram", "vocab": [["a", 0.5]], "unk_id": 1 }""", "/model/unk_id")]
    [InlineData("""{ "type": "Unigram", "vocab": [["a"]], "unk_id": 0 }""", "/model/vocab/0")]
    [InlineData("""{ "type": "Unigram", "vocab": [["a", "b"]], "unk_id": 0 }""", "/model/vocab/0/1")]
    [InlineData("""{ "type": "Odd", "vocab": {} }""", "/model/type")]
    [InlineData("""{ "vocab": null }""", "/model")]
    public void A_model_that_cannot_be_understood_names_its_place(string model, string pointer)
    {
        var folder = GoldenTokenizers.Write(model);
        Assert.Equal($"{Path.Combine(folder, "tokenizer.json")}#{pointer}", FaultOf(folder).Pointer);
    }

    [Fact]
    public void A_golden_line_that_cannot_be_read_is_named()
    {
        var folder = GoldenTokenizers.Write(("tokenizer.json", $$"""{ "model": {{Words}} }"""), ("golden.jsonl", "{ \"text\": \"a\" }\n"));
        var file = Path.Combine(folder, "golden.jsonl");

        Assert.Equal($"{file}:1", Assert.Throws<FaultException>(() => TokenizerVerification.Verify(Tokenizer.Load(folder), file)).Faults[0].Pointer);
    }

    private static Fault FaultOf(string folder) => Assert.Single(Assert.Throws<FaultException>(() => Tokenizer.Load(folder)).Faults);
}
