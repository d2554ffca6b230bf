using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Tests.Models;

public sealed class LayerOutlineTests
{
    private static readonly string Fixtures = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models");

    private static readonly Dictionary<string, ModelHead> Heads = new()
    {
        ["ForSequenceClassification"] = ModelHead.SequenceClassification,
        ["ForTokenClassification"] = ModelHead.TokenClassification,
        ["ForCausalLM"] = ModelHead.CausalLm,
        ["LMHeadModel"] = ModelHead.CausalLm,
        ["ForMaskedLM"] = ModelHead.MaskedLm,
    };

    public static TheoryData<string> Models => [.. Directory.EnumerateDirectories(Fixtures).Where(folder => File.Exists(Path.Combine(folder, "config.json")) && HeadOf(folder) is not null).Select(folder => Path.GetFileName(folder)!)];

    /// <summary>Models of PyTorch and transformers; the other side is what our classes are made of.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public void A_header_tells_the_layers_that_the_model_has(string name)
    {
        var folder = Path.Combine(Fixtures, name);
        var config = PretrainedConfig.Read(folder);
        var head = HeadOf(folder)!.Value;
        using var model = config.Create(head);

        var told = LayerOutline.Of(config, SafetensorsReader.ReadHeaders(folder).Entries, head);

        Assert.Equal(model.BaseModelPrefix, config.BaseModelPrefix);
        Assert.Equal(Comparable(LoraTargets.Outlines(model)), Comparable(told));
    }

    [Fact]
    public void A_bare_models_layers_have_the_names_that_they_get_below_a_head()
    {
        var folder = Path.Combine(Fixtures, "bert-seqcls");
        var config = PretrainedConfig.Read(folder);
        var entries = SafetensorsReader.ReadHeaders(folder).Entries;
        var bare = entries.Where(entry => entry.Key.StartsWith("bert.", StringComparison.Ordinal)).ToDictionary(entry => entry.Key["bert.".Length..], entry => entry.Value);

        var told = LayerOutline.Of(config, bare, ModelHead.TokenClassification);

        Assert.Equal(LayerOutline.Of(config, entries, ModelHead.TokenClassification).Select(layer => layer.Name), told.Select(layer => layer.Name));
        Assert.Contains("bert.encoder.layer.0.attention.self.query", told.Select(layer => layer.Name));
        Assert.DoesNotContain("classifier", told.Select(layer => layer.Name)); // Another task's.
    }

    [Fact]
    public void What_four_bits_hold_has_no_shape_to_judge_a_rank_by()
    {
        var config = PretrainedConfig.Read(Path.Combine(Fixtures, "llama-clm"));
        var packed = new Dictionary<string, SafetensorsEntry> { ["model.layers.0.self_attn.q_proj.weight"] = new("U8", [512, 1], "", 0, 512) };

        Assert.Empty(Assert.Single(LayerOutline.Of(config, packed, ModelHead.CausalLm)).Shape);
    }

    /// <summary>In any order: a matrix may be stored the other way round (GPT-2).</summary>
    private static IEnumerable<string> Comparable(IEnumerable<LayerOutline> layers) =>
        layers.Select(layer => $"{layer.Name} {string.Join("x", layer.Shape.Order())} {layer.IsEmbedding} {layer.IsOutput}").Order(StringComparer.Ordinal);

    private static ModelHead? HeadOf(string folder)
    {
        var architecture = PretrainedConfig.Read(folder).Architecture!;
        return Heads.Where(head => architecture.EndsWith(head.Key, StringComparison.Ordinal)).Select(head => (ModelHead?)head.Value).FirstOrDefault();
    }
}
