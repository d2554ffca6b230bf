using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training;
using FineTuneService.Training.ChatTemplates;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;
using Encoding = System.Text.Encoding;

namespace FineTuneService.Api.Tests.Fuzz;

/// <summary>A reader of files from strangers, and what it reads when all is well.</summary>
/// <param name="File">As what an input is given to it, in a folder of its own.</param>
/// <param name="Spoil">A corpus entry, differently for each seed.</param>
/// <param name="Read">The folder, and the input itself.</param>
internal sealed record FuzzedReader(string File, byte[][] Corpus, Func<Mutator, byte[], byte[]> Spoil, Action<string, byte[]> Read)
{
    /// <summary>Bytes that one input of usual size may make it allocate in all.</summary>
    public long MostAllocated { get; init; } = 64 << 20;

    private static readonly string[] JobWords =
        ["job:x", "../x", "text-classification", "causal-lm", "sft", "dpo", "lora", "qlora", "auto", "epoch", "steps", "cosine", "adamw_torch", "warmup_ratio", "evaluation_strategy", "metadata", "scheduling", "lr_scheduler_kwargs"];

    private static readonly string[] Parts =
        ["Sequence", "BertNormalizer", "NFKD", "Replace", "Prepend", "Strip", "StripAccents", "Nmt", "Precompiled", "Lowercase", "ByteLevel", "Metaspace", "Whitespace", "Punctuation", "Digits", "Split", "FixedLength", "BPE", "WordPiece", "Unigram", "WordLevel", "TemplateProcessing", "RobertaProcessing", "BertProcessing", "Fuse", "CTC", "(", "[a-", "(?<!a)b", "\\p{", "a", "", "\u2581", "\U0001F600"];

    private static readonly string[] Jinja =
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "{% for x in messages %}", "{% endfor %}", "{% if messages %}", "{% else %}", "{% endif %}", "{% macro m(a) %}", "{% endmacro %}", "{{ m(m) }}", "{% set x = messages %}", "{% set ns = namespace(a=1) %}", "{% generation %}", "{% endgeneration %}",
        "range(1000000000)", " * 1000000000", " ** 99999", " ~ ", " // 0", " % 0", "|join(',')", "|tojson(indent=99999)", "|tojson", "|trim", "|sort", "|map(attribute='x')", "|selectattr('role','equalto','user')", "|replace('', 'aaaa')", "|indent(99999)", "|default(1)", "|length", "|list", "|batch(0)", "|int", "|float", "|round(400)",
        "messages[-1]", "messages[::0]", "[1:2:-1]", ".items()", ".split('')", ".format(1)", "'%s' % x", "'{:>99999999}'.format(1)", "loop.index", "loop", "strftime_now('%Q%')", "raise_exception('x')", "__class__", "not ", "is defined", "in ", "(", ")", "[", "]", "{", "}", "'", "\"", "1e999", "99999999999999999999", "\\", "\\ud800", "-", "+",
    ];

    public static IReadOnlyDictionary<string, FuzzedReader> All { get; } = new Dictionary<string, FuzzedReader>
    {
        ["job"] = new("job.json", [.. FilesOf("samples", "*.json")], (mutator, input) => mutator.SpoilJson(input, JobWords), (_, input) => JobSpecReader.Read(input)),
        ["csv"] = new("rows.csv", [Text("text,label\r\n\"a, \"\"b\"\"\",1\r\nc;d,2\n"), Text("\uFEFFtext;label\nä;1\n\n😀;0\n"), Text("a\tb\n1\t2.5\n,\t\n")], (mutator, input) => mutator.SpoilBytes(input, []), Profile),
        ["tsv"] = new("rows.tsv", [.. FilesOf("samples", "*.tsv").Select(file => file[..(Array.IndexOf(file, (byte)'\n', 400) + 1)])], (mutator, input) => mutator.SpoilBytes(input, []), Profile),
        ["jsonl"] = new("rows.jsonl", [Text("{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": [1, {\"x\": null}], \"more\": true}\n\n{\"text\": 1.5}\n")], (mutator, input) => mutator.SpoilLines(input, ["text", "label"]), Profile),
        ["safetensors"] = new("model.safetensors", [.. Headers().Select(Framed)], SpoilHeader, (folder, _) => SafetensorsReader.ReadHeaders(Path.Combine(folder, "model.safetensors"))),
        ["safetensors index"] = new("model.safetensors.index.json", [Text("""{"metadata": {"total_size": 8}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}""")], (mutator, input) => mutator.SpoilJson(input, ["..", "/etc/passwd", "model.safetensors.index.json"]), ReadShards),
        ["config"] = new("config.json", [.. FilesOf("models", "config.json")], (mutator, input) => mutator.SpoilJson(input, ["bert", "llama", "gpt2", "model_type", "rope_scaling", "gelu"]), (folder, _) => Forecast(PretrainedConfig.Read(folder))) { MostAllocated = 256 << 20 }, // A thousand layers, forecast with each change that might help.
        ["tokenizer"] = new("tokenizer.json", [.. FilesOf(Path.Combine("Fixtures", "fuzz"), "*.json")], (mutator, input) => mutator.SpoilJson(input, Parts), Tokenize),
        ["tokenizer config"] = new("tokenizer_config.json", [Text("""{"tokenizer_class": "BertTokenizer", "model_max_length": 512, "do_lower_case": true, "pad_token": "[PAD]", "cls_token": {"content": "[CLS]", "lstrip": false}, "padding_side": "right", "added_tokens_decoder": {"0": {"content": "[PAD]", "special": true}}, "chat_template": [{"name": "default", "template": "{{ messages }}"}, {"name": "../../x", "template": "{{ tools }}"}]}""")], (mutator, input) => mutator.SpoilJson(input, ["pad_token", "chat_template", "../x", "[PAD]"]), TokenizeByVocabulary),
        ["chat template"] = new("chat_template.jinja", [.. FilesOf(Path.Combine("Fixtures", "chat_templates"), "*.json").Select(TemplateOf)], (mutator, input) => mutator.SpoilBytes(input, Jinja), Render) { MostAllocated = 1L << 30 },
    };

    private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);

    private static IEnumerable<byte[]> FilesOf(string folder, string pattern) => Directory.EnumerateFiles(Path.Combine(Api.Output, folder), pattern, SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(System.IO.File.ReadAllBytes);

    private static byte[] TemplateOf(byte[] fixture)
    {
        using var document = JsonDocument.Parse(fixture);
        return Text(document.RootElement.GetProperty("template").GetString()!);
    }

    /// <summary>The profile is stored and shown as JSON, so it must be text that Postgres takes.</summary>
    private static void Profile(string folder, byte[] input)
    {
        var profile = JsonSerializer.Serialize(DatasetProfiler.Profile(Directory.GetFiles(folder).Single()), SnakeCaseJson.Options);
        Assert.DoesNotContain("\\u0000", profile.Replace("\\\\", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.False(profile.AsSpan().Contains('\0'));
    }

    /// <summary>As for a job that draws its first weights, where nothing but config.json tells the model's size; and as for one that trains an adapter.</summary>
    private static void Forecast(PretrainedConfig config)
    {
        Forecast(config, "\"init\": \"config\"");
        Forecast(config, "\"method\": {\"type\": \"lora\"}");
    }

    private static void Forecast(PretrainedConfig config, string how)
    {
        var task = config.Heads.ContainsKey(ModelHead.SequenceClassification) ? "text-classification" : "causal-lm";
        var spec = JobSpecReader.Read(Text($$"""{"base_model": "x", "task": "{{task}}", "dataset": {"train": "x"}, {{how}} }"""));
        var faults = new FaultList();
        var resolved = SpecResolver.Resolve(spec, new() { TrainRows = 100, Columns = ["text", "label"], MaxPositions = config.MaxLength, Parameters = 1000 }, faults).Spec;
        faults.ThrowIfAny();
        MemoryEstimate.Of(resolved, config, new(100), 1L << 40);
    }

    private static IEnumerable<byte[]> Headers() =>
    [
        Text("""{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2,1],"data_offsets":[8,12]}}"""),
        Text("""{"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"empty":{"dtype":"F16","shape":[0,7],"data_offsets":[8,8]},"z":{"dtype":"F4","shape":[8],"data_offsets":[8,12]}}"""),
    ];

    private static byte[] Framed(byte[] header) => [.. BitConverter.GetBytes((long)header.Length), .. header, .. new byte[12]];

    private static byte[] SpoilHeader(Mutator mutator, byte[] input) => mutator.Next(4) == 0
        ? mutator.SpoilBytes(input, [])
        : Framed(mutator.SpoilJson(input[8..^12], ["F32", "C64", "dtype", "shape", "data_offsets", "__metadata__"]));

    private static void Tokenize(string folder, byte[] input) => Use(Tokenizer.Load(folder));

    private static void TokenizeByVocabulary(string folder, byte[] input)
    {
        System.IO.File.WriteAllLines(Path.Combine(folder, "vocab.txt"), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"]);
        Use(Tokenizer.Load(folder));
        ChatTemplate.Load(folder)?.Render(new(Conversation));
    }

    private static void Use(Tokenizer tokenizer)
    {
        foreach (var text in new[] { "", " a  ab\tAB! 12 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\u00C5e\u0301\u0345\u0300 \U0001F600\uD800 \uFB01\u3000\u2581[MASK] <s>" })
            tokenizer.Decode(tokenizer.Encode(text).Ids);
    }

    private static JsonElement Conversation { get; } = JsonSerializer.SerializeToElement(new object[]
    {
        new { role = "system", content = "Be brief." }, new { role = "user", content = "Hello {{ x }} \u00E4\U0001F600" }, new { role = "assistant", content = "<think>so</think>Hi" }, new { role = "user", content = "Bye" },
    });

    private static void Render(string folder, byte[] input)
    {
        System.IO.File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"bos_token": "<s>", "eos_token": "</s>"}""");
        ChatTemplate.Load(folder)?.Render(new(Conversation) { AddGenerationPrompt = true });
    }

    private static void ReadShards(string folder, byte[] input)
    {
        foreach (var (name, file) in new[] { ("a", "model-1.safetensors"), ("b", "model-2.safetensors") })
            System.IO.File.WriteAllBytes(Path.Combine(folder, file), Framed(Text($$"""{"{{name}}":{"dtype":"F32","shape":[3],"data_offsets":[0,12]} }""")));
        SafetensorsReader.ReadHeaders(folder);
    }
}
