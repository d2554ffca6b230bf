using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Methods;

public sealed class LoraTests : IDisposable
{
    private static readonly string Fixtures = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models");
    private static readonly string Bert = Path.Combine(Fixtures, "bert-seqcls"), Llama = Path.Combine(Fixtures, "llama-clm");

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-lora-").FullName;

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    public static TheoryData<LoraConfig, string[]> Choices => new()
    {
        { new(), ["q_proj", "v_proj"] },
        { new() { TargetModules = new(["up_proj", "self_attn.o_proj"]) }, ["o_proj", "up_proj"] },
        { new() { TargetModules = new("all-linear") }, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] },
        { new() { TargetModules = new("all-linear"), ExcludeModules = new(["down_proj", "o_proj"]) }, ["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"] },
        { new() { TargetModules = new("all-linear"), ExcludeModules = new(".*mlp.*") }, ["q_proj", "k_proj", "v_proj", "o_proj"] },
        { new() { TargetModules = new(@"model\.layers\.\d+\.self_attn\.[qk]_proj") }, ["q_proj", "k_proj"] },
        { new() { TargetModules = new(["lm_head", "k_proj"]) }, ["k_proj", "lm_head"] },
    };

    [Theory]
    [MemberData(nameof(Choices))]
    public void Targets_are_chosen_as_PEFT_chooses_them(LoraConfig config, string[] expected)
    {
        using var model = PretrainedConfig.Read(Llama).Create(ModelHead.CausalLm);
        var found = LoraTargets.Find(model, config, ModelHead.CausalLm, []).Layers;
        Assert.Equal(expected.Order(), found.Select(target => target.Name.Split('.')[^1]).Distinct().Order());
    }

    [Fact]
    public void Every_family_has_targets_that_need_not_be_named()
    {
        foreach (var folder in Directory.GetDirectories(Fixtures).Where(folder => File.Exists(Path.Combine(folder, "config.json"))))
        {
            var config = PretrainedConfig.Read(folder);
            var head = config.Heads.Keys.First();
            using var model = config.Create(head);
            Assert.NotEmpty(LoraTargets.Find(model, new() { R = 1 }, head, []).Layers);
        }
    }

    [Fact]
    public void Layers_and_ranks_can_be_chosen_one_by_one()
    {
        using var model = PretrainedConfig.Read(Llama).Create(ModelHead.CausalLm);
        var found = LoraTargets.Find(
            model,
            new() { R = 4, TargetModules = new(["q_proj", "v_proj"]), LayersToTransform = new(1), RankPattern = new Dictionary<string, int> { ["v_proj"] = 2 }, AlphaPattern = new Dictionary<string, double> { [@"layers\.1\.self_attn\.q_proj"] = 32 } },
            ModelHead.CausalLm, []).Layers;
        Assert.Equal(
            [("model.layers.1.self_attn.q_proj", 4, 32.0), ("model.layers.1.self_attn.v_proj", 2, 8.0)],
            found.Select(target => (target.Name, target.Rank, target.Alpha)));
    }

    [Fact]
    public void What_does_not_fit_is_told_with_what_exists()
    {
        using var model = PretrainedConfig.Read(Llama).Create(ModelHead.CausalLm);
        var faults = Assert.Throws<FaultException>(() => LoraTargets.Find(model, new() { R = 999, ModulesToSave = ["nothing"] }, ModelHead.CausalLm, [])).Faults;
        Assert.Equal(["/method/modules_to_save", "/method/r"], faults.Select(fault => fault.Pointer).Distinct());
        var fault = Assert.Single(Assert.Throws<FaultException>(() => LoraTargets.Find(model, new() { TargetModules = new(["query"]) }, ModelHead.CausalLm, [])).Faults);
        Assert.Contains("self_attn.q_proj", fault.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Switched_off_the_model_computes_as_its_base()
    {
        using var model = Load(Llama, new LoraConfig { R = 4, UseDora = true }, ModelHead.CausalLm);
        using var _ = no_grad();
        var ids = arange(5, 20, ScalarType.Int64).view(3, 5);
        var before = model.call(new(ids));
        Disturb(model);
        var adapted = model.call(new(ids));
        Assert.False(adapted.allclose(before, 1e-3, 1e-3));
        using (new AdapterSwitch(model))
            Assert.Equal(0, (model.call(new(ids)) - before).abs().max().ToDouble(), 1e-6);
        Assert.True(model.call(new(ids)).Equals(adapted));
    }

    [Fact]
    public void A_trained_head_cannot_be_switched_off()
    {
        using var model = Load(Bert, new LoraConfig { R = 4 }, ModelHead.SequenceClassification);
        Assert.Contains("classifier.weight", Assert.Throws<FaultException>(() => new AdapterSwitch(model)).Faults[0].Value, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_embedding_is_adapted_and_merged_and_comes_back(bool dora)
    {
        var config = new LoraConfig { R = 4, TargetModules = new(["word_embeddings", "query"]), UseDora = dora, Bias = LoraBias.LoraOnly };
        using var model = PretrainedConfig.Read(Bert).Create(ModelHead.SequenceClassification);
        var adapter = (LoraAdapter)config.Prepare(model, ModelHead.SequenceClassification, Bert, seed: 1);
        model.eval();
        Disturb(model);
        using var _ = no_grad();
        var ids = arange(5, 20, ScalarType.Int64).view(3, 5);
        var apart = model.call(new(ids));
        adapter.Save(_folder);
        adapter.Merge();
        Assert.Equal(0, (model.call(new(ids)) - apart).abs().max().ToDouble(), 1e-5);
        adapter.Unmerge();
        Assert.Equal(0, (model.call(new(ids)) - apart).abs().max().ToDouble(), 1e-5);

        var keys = SafetensorsReader.ReadHeaders(Path.Combine(_folder, AdapterFolder.WeightsFile)).Entries.Keys;
        Assert.Contains("base_model.model.bert.embeddings.word_embeddings.lora_embedding_A", keys);
        Assert.Contains("base_model.model.bert.encoder.layer.0.attention.self.query.base_layer.bias", keys);
        using var reopened = FineTunedFolder.Open(_folder, Bert).Load(ModelHead.SequenceClassification);
        reopened.eval();
        Assert.Equal(0, (reopened.call(new(ids)) - apart).abs().max().ToDouble(), 1e-5);
    }

    [Theory]
    [InlineData("lora-bert-seqcls-0", ModelHead.SequenceClassification)]
    [InlineData("lora-gpt2-clm-4", ModelHead.CausalLm)]
    [InlineData("lora-llama-clm-2", ModelHead.CausalLm)]
    public void An_adapter_is_written_as_PEFT_wrote_it(string golden, ModelHead head)
    {
        var source = Path.Combine(Fixtures, golden);
        var theirs = JsonNode.Parse(File.ReadAllText(Path.Combine(source, AdapterFolder.ConfigFile)))!.AsObject();
        var baseFolder = Path.Combine(source, theirs["base_model_name_or_path"]!.GetValue<string>());
        using var model = PretrainedConfig.Read(baseFolder).Create(head);
        new LoraConfig { Adapter = source }.Prepare(model, head, baseFolder, seed: 1).Save(_folder);

        var ours = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, AdapterFolder.ConfigFile)))!.AsObject();
        theirs["peft_version"] = ours["peft_version"]!.DeepClone();
        theirs["base_model_name_or_path"] = Path.GetFileName(baseFolder);
        Assert.Equal(Sorted(theirs), Sorted(ours));
        Assert.Equal(File.ReadAllBytes(Path.Combine(source, AdapterFolder.WeightsFile)), File.ReadAllBytes(Path.Combine(_folder, AdapterFolder.WeightsFile)));
    }

    [Theory]
    [InlineData("peft_type", "\"IA3\"")]
    [InlineData("use_qalora", "true")]
    [InlineData("layer_replication", "[[0, 2]]")]
    [InlineData("init_lora_weights", "\"pissa\"")]
    public void An_adapter_that_we_would_compute_wrongly_is_refused(string field, string value)
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(Fixtures, "lora-llama-clm-1", AdapterFolder.ConfigFile)))!.AsObject();
        config[field] = JsonNode.Parse(value);
        File.WriteAllText(Path.Combine(_folder, AdapterFolder.ConfigFile), config.ToJsonString());
        var fault = Assert.Single(Assert.Throws<FaultException>(() => AdapterFolder.Read(_folder)).Faults);
        Assert.EndsWith($"#/{field}", fault.Pointer, StringComparison.Ordinal);
    }

    [Fact]
    public void An_adapter_of_another_base_is_refused()
    {
        using var model = PretrainedConfig.Read(Bert).Create(ModelHead.SequenceClassification);
        var config = new LoraConfig { Adapter = Path.Combine(Fixtures, "lora-llama-clm-1") };
        Assert.Equal("/method/adapter", Assert.Throws<FaultException>(() => config.Prepare(model, ModelHead.SequenceClassification, Bert, seed: 1)).Faults[0].Pointer);

        using var llama = Load(Llama, new LoraConfig { R = 2, TargetModules = new(["q_proj", "k_proj"]) }, ModelHead.CausalLm, out var adapter);
        var told = string.Join('\n', Assert.Throws<FaultException>(() => adapter.Load(Path.Combine(Fixtures, "lora-llama-clm-1"))).Faults);
        Assert.Contains("lacks tensors", told, StringComparison.Ordinal);
        Assert.Contains("has no place", told, StringComparison.Ordinal);
        Assert.Contains("other shapes", told, StringComparison.Ordinal);
    }

    private static PretrainedModel Load(string folder, LoraConfig config, ModelHead head) => Load(folder, config, head, out _);

    private static PretrainedModel Load(string folder, LoraConfig config, ModelHead head, out LoraAdapter adapter)
    {
        var model = PretrainedConfig.Read(folder).Create(head);
        adapter = (LoraAdapter)config.Prepare(model, head, folder, seed: 1);
        model.eval();
        return model;
    }

    /// <summary>As if it had been trained: a fresh adapter changes nothing.</summary>
    private static void Disturb(PretrainedModel model)
    {
        using var _ = no_grad();
        using var generator = new Generator(3);
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn(parameter.shape, generator: generator) * 0.1);
    }

    private static string Sorted(JsonObject json)
    {
        foreach (var list in new[] { "target_modules", "modules_to_save" })
            if (json[list] is JsonArray names)
                json[list] = new JsonArray([.. names.Select(name => name!.GetValue<string>()).Order(StringComparer.Ordinal).Select(name => (JsonNode)name)]);
        json["lora_dropout"] = json["lora_dropout"]!.GetValue<double>();
        return new JsonObject(json.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => KeyValuePair.Create(member.Key, member.Value?.DeepClone()))).ToJsonString();
    }
}
