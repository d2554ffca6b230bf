using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tests.Data;

namespace FineTuneService.Training.Tests.RandomSpecs;

/// <summary>A small specification that a seed draws, with its base model and its data.</summary>
internal sealed class RandomSpec
{
    private static readonly string Models = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models");
    private static readonly string[] Families = [.. Directory.GetDirectories(Models).Select(folder => Path.GetFileName(folder)!).Where(name => !name.StartsWith("lora-", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
    private static readonly string EncoderTokenizer = Path.Combine(AppContext.BaseDirectory, "samples", "models", "tiny-bert-en");

    private readonly Draw _draw;
    private readonly JsonObject _config;
    private readonly ModelHead _head, _headOfBase;
    private readonly string _tokenizer;

    public RandomSpec(int seed)
    {
        _draw = new(seed);
        var family = _draw.Of(Families);
        var source = PretrainedConfig.Read(Path.Combine(Models, family));
        _head = _draw.Of([.. source.Heads.Keys.Order()]);
        _headOfBase = _draw.Chance(0.7) ? _head : _draw.Of([.. source.Heads.Keys.Order()]);
        var isDecoder = source.Heads.ContainsKey(ModelHead.CausalLm);
        _tokenizer = isDecoder ? LanguageFixtures.TinyLlama : EncoderTokenizer;
        _config = Config(source.Source, isDecoder);
        var task = RandomTask.Of(_head, _draw);
        Data = new RandomRows(task, _draw);
        var dataset = Data.Dataset();
        var init = task.Rows != "dpo" && !Data.Files.ContainsKey("earlier.jsonl") && _draw.Chance(0.3) ? "config" : "pretrained";
        var method = RandomArguments.Method(_draw, init == "config" || _head == ModelHead.ReplacedTokenDetection);
        Job = new()
        {
            ["name"] = $"{seed}: {family}",
            ["base_model"] = "base",
            ["init"] = init,
            ["task"] = task.Json,
            ["dataset"] = dataset,
            ["method"] = method,
            ["training"] = RandomArguments.Training(_draw, task.Json, Data.Rows, dataset, init, source.MaxLength),
        };
    }

    public JsonObject Job { get; }

    public RandomRows Data { get; }

    public bool HasDropout { get; private set; }

    public ModelHead Head => _head;

    public override string ToString() => $"{Job.ToJsonString()}\nbase: {_headOfBase} {_config.ToJsonString()}";

    /// <summary>Base model, data and job.json.</summary>
    public void WriteTo(RunFolder folder)
    {
        var files = Directory.CreateDirectory(Path.Combine(folder.Path, "base")).FullName;
        foreach (var file in Directory.EnumerateFiles(_tokenizer).Where(file => Path.GetFileName(file) is "tokenizer.json" or "tokenizer_config.json" or "chat_template.jinja"))
            File.Copy(file, Path.Combine(files, Path.GetFileName(file)));
        File.WriteAllText(Path.Combine(files, "config.json"), _config.ToJsonString());
        if ((string?)Job["init"] == "pretrained")
        {
            using var model = PretrainedConfig.Read(files).Create(_headOfBase);
            PretrainedFolder.Initialize(model, seed: 1);
            PretrainedFolder.Save(files, model);
        }
        foreach (var (name, lines) in Data.Files)
            File.WriteAllLines(Path.Combine(folder.Path, name), lines);
        File.WriteAllText(folder.Job, Job.ToJsonString());
    }

    /// <summary>The family's golden shape, for the words of a tokenizer that can read.</summary>
    private JsonObject Config(JsonObject golden, bool isDecoder)
    {
        var config = (JsonObject)golden.DeepClone();
        config.Remove("id2label");
        config.Remove("label2id");
        config.Remove("problem_type");
        var dropout = _draw.Chance(0.3) ? 0.1 : 0;
        HasDropout = dropout > 0;
        foreach (var name in config.Select(field => field.Key).Where(name => name.EndsWith("dropout", StringComparison.Ordinal) || name.EndsWith("dropout_prob", StringComparison.Ordinal) || name.EndsWith("pdrop", StringComparison.Ordinal)).ToList())
            config[name] = dropout;
        config["classifier_dropout"] = dropout; // Decoders that lack it have a tenth.
        config["initializer_range"] = 0.1;
        config["dtype"] = _draw.Chance(0.8) ? "float32" : _draw.Of("bfloat16", "float16");
        if (isDecoder)
        {
            (config["vocab_size"], config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) = (512, 0, 0, null);
            return config;
        }
        (config["vocab_size"], config["pad_token_id"]) = (8192, 0);
        foreach (var (name, id) in new[] { ("bos_token_id", 2), ("cls_token_id", 2), ("eos_token_id", 3), ("sep_token_id", 3) })
            if (config.ContainsKey(name))
                config[name] = id;
        return config;
    }
}

/// <summary>What a seed says, one question after the other.</summary>
internal sealed class Draw(int seed)
{
    private readonly Random _random = new(seed);

    public T Of<T>(params T[] choices) => choices[_random.Next(choices.Length)];

    public bool Chance(double probability) => _random.NextDouble() < probability;

    public int Between(int first, int last) => _random.Next(first, last + 1);
}
