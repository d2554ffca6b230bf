using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Verification;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Models;

public sealed class DecoderTests
{
    private static readonly string Root = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models");

    public static TheoryData<string> CausalCases => [.. Directory.GetDirectories(Root).Select(folder => Path.GetFileName(folder)!).Where(name => name.EndsWith("-clm", StringComparison.Ordinal))];

    /// <summary>A dynamic rope depends on the longest document of its row, in transformers as well.</summary>
    public static TheoryData<string> PackedCases => [.. CausalCases.Select(row => row.Data).Where(name => name is not ("llama-rope-dynamic-clm" or "phi3-rope-longrope-clm"))];

    [Fact]
    public void Every_family_is_among_the_golden_ones() => Assert.Empty(
        new[] { "gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3" }.Except(CausalCases.Select(row => row.Data.Split('-')[0])));

    [Theory]
    [MemberData(nameof(PackedCases))]
    public void Documents_packed_in_a_row_do_not_see_each_other(string golden)
    {
        using var scope = NewDisposeScope();
        var row = GoldenCase.Read(Path.Combine(Root, golden)).Batches[0].InputIds[0];
        long[] first = row[..5], second = row[5..];
        using var model = Load(golden);

        var alone = cat([Logits(model, new(Row(first))), Logits(model, new(Row(second)))], 1);
        Loss(alone, row, first.Length).backward();
        var expected = model.named_parameters().Select(entry => (entry.name, entry.parameter.grad!.clone())).ToList();
        model.zero_grad();
        var packed = Logits(model, new(Row(row)) { DocumentIds = Row([.. row.Select((_, at) => at < first.Length ? 7L : 4L)]) });
        Loss(packed, row, first.Length).backward();

        Assert.InRange((packed - alone).abs().max().ToDouble(), 0, 1e-5);
        Assert.All(model.named_parameters().Zip(expected), pair => Assert.InRange((pair.First.parameter.grad! - pair.Second.Item2).abs().max().ToDouble(), 0, 1e-5));
        var positions = Row([.. Enumerable.Range(0, first.Length).Concat(Enumerable.Range(0, second.Length)).Select(at => (long)at)]);
        var given = Logits(model, new(Row(row)) { DocumentIds = Row([.. row.Select((_, at) => at < first.Length ? 0L : 1L)]), PositionIds = positions });
        Assert.InRange((given - packed).abs().max().ToDouble(), 0, 1e-6);
    }

    [Theory]
    [MemberData(nameof(CausalCases))]
    public void Padding_at_the_left_changes_nothing(string golden)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var row = GoldenCase.Read(Path.Combine(Root, golden)).Batches[0].InputIds[0];
        using var model = Load(golden);

        var padded = Logits(model, new(Row([0, 0, 0, .. row]), Row([0, 0, 0, .. row.Select(_ => 1L)])) { PositionIds = Row([0, 0, 0, .. row.Select((_, at) => (long)at)]) });

        Assert.InRange((padded[.., 3..] - Logits(model, new(Row(row)))).abs().max().ToDouble(), 0, 1e-5);
        Assert.False(padded.isnan().any().ToBoolean());
    }

    [Theory]
    [InlineData("gpt2-clm", "lm_head.weight", "transformer.wte.weight")]
    [InlineData("gemma2-clm", "lm_head.weight", "model.embed_tokens.weight")]
    public void A_tied_head_is_stored_once_and_a_file_with_two_is_read(string golden, string head, string embedding)
    {
        using var model = Load(golden);
        Assert.DoesNotContain(head, model.state_dict().Keys);
        var folder = Directory.CreateTempSubdirectory("tied").FullName;
        PretrainedFolder.Save(folder, model);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), [.. model.state_dict().Select(entry => (entry.Key, entry.Value)), (head, model.state_dict()[embedding])]);

        var loaded = PretrainedFolder.LoadWeights(folder, model, seed: 0);

        Assert.Empty(loaded.NewKeys);
        Assert.Equal([head], loaded.UnusedKeys);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Dropout_of_the_config_is_felt_in_training_only()
    {
        using var scope = NewDisposeScope();
        var config = (Gpt2Config)PretrainedConfig.Read(Path.Combine(Root, "gpt2-clm"));
        var ids = Row([5, 6, 7, 8]);
        foreach (var dropped in new[] { config with { EmbdPdrop = 0.5 }, config with { AttnPdrop = 0.5 }, config with { ResidPdrop = 0.5 } })
        {
            using var model = dropped.Create(ModelHead.CausalLm);
            PretrainedFolder.LoadWeights(Path.Combine(Root, "gpt2-clm"), model, seed: 0);
            model.eval();
            Assert.Equal(0, (Logits(model, new(ids)) - Logits(model, new(ids))).abs().max().ToDouble());
            model.train();
            Assert.NotEqual(0, (Logits(model, new(ids)) - Logits(model, new(ids))).abs().max().ToDouble());
        }
    }

    [Fact]
    public void A_rotary_embedding_that_lacks_its_numbers_is_told_with_all_of_them()
    {
        var config = (LlamaConfig)PretrainedConfig.Read(Path.Combine(Root, "llama-clm"));
        IReadOnlyList<string> Pointers(Training.Models.Layers.RopeParameters rope) =>
            [.. Assert.Throws<FaultException>(() => (config with { RopeParameters = rope }).Create(ModelHead.CausalLm)).Faults.Select(fault => fault.Pointer)];

        Assert.Equal(["config.json#/rope_parameters/rope_type"], Pointers(new() { RopeType = "spiral" }));
        Assert.Equal(["config.json#/rope_parameters/factor", "config.json#/rope_parameters/low_freq_factor", "config.json#/rope_parameters/high_freq_factor"], Pointers(new() { Type = "llama3" }));
        Assert.Equal(["config.json#/rope_parameters/long_factor", "config.json#/rope_parameters/short_factor"], Pointers(new() { RopeType = "longrope", ShortFactor = [1] }));
    }

    private static PretrainedModel Load(string golden)
    {
        var folder = Path.Combine(Root, golden);
        var model = PretrainedConfig.Read(folder).Create(ModelHead.CausalLm);
        Assert.Empty(PretrainedFolder.LoadWeights(folder, model, seed: 0).NewKeys);
        model.eval();
        return model;
    }

    private static Tensor Row(long[] values) => tensor(values).unsqueeze(0);

    private static Tensor Logits(PretrainedModel model, ModelInputs inputs) => model.call(inputs);

    /// <summary>Of all tokens but the first of each document.</summary>
    private static Tensor Loss(Tensor logits, long[] row, int second) =>
        LanguageModelLoss.CausalSum(logits, Row([.. row.Select((id, at) => at == second ? LanguageModelLoss.Ignored : id)])) / row.Length;
}
