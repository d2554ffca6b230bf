using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Tasks;

[Collection(GlobalGenerator.Name)]
public sealed class NextTokensTests : IDisposable
{
    private const int Vocabulary = 512;

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly CausalLanguageModel _model = (CausalLanguageModel)PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);

    public NextTokensTests() => PretrainedFolder.LoadWeights(LanguageFixtures.TinyLlama, _model, seed: 0);

    public void Dispose()
    {
        _model.Dispose();
        _scope.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Logits_made_for_some_tokens_at_a_time_give_the_same_loss_hits_and_gradients(bool frozen)
    {
        var batch = LanguageFixtures.Collate([[Text(1, 20), Text(2, 11)], [Text(3, 26)]], 0);
        foreach (var (name, parameter) in _model.named_parameters())
            parameter.requires_grad = !frozen || name.Contains("lm_head", StringComparison.Ordinal) || name.Contains("embed", StringComparison.Ordinal);

        var whole = Compute(batch, 1 << 24);
        Agree(whole, Compute(batch, Vocabulary * 7));

        Assert.Equal(LanguageModelLoss.CausalSum(_model.call(batch.Inputs), batch.Labels).ToDouble(), whole.Tokens.Losses.sum().ToDouble(), 1e-3);
    }

    [Theory]
    [InlineData(1 << 24)]
    [InlineData(Vocabulary * 7)]
    public void Tokens_that_are_not_learnt_change_nothing_and_need_no_logits(long elements)
    {
        using var batch = LanguageFixtures.Collate([[Text(1, 24, prompt: 15)], [Text(2, 11, prompt: 3), Text(3, 9, prompt: 8)], [Text(4, 5)]], 0);
        var expected = Compute(batch with { LearntPlaces = null }, elements);
        Assert.Equal(3 * 24, expected.Rows);

        var actual = Compute(batch, elements);

        Agree(expected, actual);
        Assert.Equal(9 + 8 + 1 + 4, actual.Rows);
        Assert.Equal(batch.Labels.shape, actual.Tokens.Hits.shape);
    }

    [Theory]
    [InlineData(1 << 24, 0)]
    [InlineData(1 << 24, 0.1)]
    [InlineData(Vocabulary * 7, 0)]
    [InlineData(Vocabulary * 7, 0.1)]
    public void Of_a_frozen_head_all_logits_are_computed_once_and_losses_hits_and_gradients_are_those_of_autograd(long elements, double smoothing)
    {
        using var batch = LanguageFixtures.Collate([[Text(1, 24, prompt: 15)], [Text(2, 11), Text(3, 9)]], 0);
        using var model = Adapted(["q_proj", "down_proj"]);

        var rows = AgreesWithAutograd(model, batch, elements, smoothing, 1e-5);

        Assert.Equal((batch.LearntPlaces!.numel(), batch.LearntPlaces.numel()), rows);
    }

    [Fact]
    public void A_frozen_head_in_bf16_gives_the_gradients_of_autograd()
    {
        using var batch = LanguageFixtures.Collate([[Text(1, 24, prompt: 15)], [Text(2, 11), Text(3, 9)]], 0);
        using var model = Adapted(["q_proj", "down_proj"]);
        model.ComputeIn(ScalarType.BFloat16);

        AgreesWithAutograd(model, batch, Vocabulary * 7, 0, 0.02);
    }

    [Theory]
    [InlineData(1 << 24, 1)]
    [InlineData(Vocabulary * 7, 2)]
    public void An_adapter_on_the_head_gets_its_gradient(long elements, int times)
    {
        using var batch = LanguageFixtures.Collate([[Text(1, 24, prompt: 15)], [Text(2, 11), Text(3, 9)]], 0);
        using var model = Adapted(["q_proj", "lm_head"]);

        var rows = AgreesWithAutograd(model, batch, elements, 0, 1e-5);

        var learnt = batch.LearntPlaces!.numel();
        Assert.Equal((learnt, times * learnt), rows);
        model.train(); // Dropout on the head's input.
        Assert.True(NextTokens.Of(model, batch, elements).Losses.requires_grad);
    }

    [Theory]
    [InlineData("all weights", 1 << 24, 0)]
    [InlineData("all weights", Vocabulary * 7, 0.1)]
    [InlineData("the head alone", Vocabulary * 7, 0)]
    [InlineData("adapters", Vocabulary * 7, 0)]
    [InlineData("adapters off the head", Vocabulary * 7, 0)]
    public void Where_it_is_known_what_the_loss_will_be_multiplied_by_all_logits_are_computed_once(string trained, long elements, double smoothing)
    {
        const double Factor = 0.37;
        using var batch = LanguageFixtures.Collate([[Text(1, 24, prompt: 15)], [Text(2, 11), Text(3, 9)]], 0) with { Weights = rand(2, 24) };
        var model = trained == "all weights" ? _model : Adapted(trained == "adapters" ? ["q_proj", "lm_head"] : ["q_proj"]);
        foreach (var (name, parameter) in model.named_parameters().Where(_ => trained == "the head alone"))
            parameter.requires_grad = name.Contains("lm_head", StringComparison.Ordinal);
        var losses = LanguageModelLoss.Each(model.call(batch.Inputs).flatten(0, 1), LanguageModelLoss.Shifted(batch.Labels).flatten(), smoothing).reshape(batch.Labels.shape);
        ((losses * LanguageModelLoss.Shifted(batch.Weights!)).sum() * Factor).backward();
        var expected = Taken(model);
        Assert.NotEmpty(expected);
        using var counted = new Counted(model);

        var loss = NextTokens.Of(counted, batch, elements, smoothing, factor: Factor).Sum(batch.Weights).Sum * Factor;
        loss.backward();
        BackwardPass.ThrowIfFailed();

        Assert.Equal(batch.LearntPlaces!.numel(), counted.Rows);
        var actual = Taken(model);
        Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
        Assert.All(expected, gradient => Assert.InRange((gradient.Value - actual[gradient.Key]).norm().ToDouble() / gradient.Value.norm().ToDouble(), 0, 1e-5));
    }

    [Fact]
    public void A_loss_that_is_multiplied_by_another_factor_than_was_told_is_refused()
    {
        using var batch = LanguageFixtures.Collate([[Text(1, 24)]], 0);
        NextTokens.Of(_model, batch, factor: 0.5).Sum(batch.Weights).Sum.backward();
        Assert.Throws<InvalidOperationException>(BackwardPass.ThrowIfFailed);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_batch_of_which_nothing_is_learnt_costs_nothing_and_can_be_differentiated(bool frozen)
    {
        if (frozen)
            _model.get_parameter("model.embed_tokens.weight")!.requires_grad = false;
        using var batch = LanguageFixtures.Collate([[Text(1, 12, prompt: 12)], [Text(2, 7, prompt: 7)]], 0);

        var (tokens, gradients, rows) = Compute(batch, 1 << 24);

        Assert.Equal(0, rows);
        Assert.Equal((0, 0), (tokens.Losses.sum().ToDouble(), tokens.Hits.sum().ToInt32()));
        Assert.All(gradients.Values, gradient => Assert.Equal(0, gradient.abs().max().ToDouble()));
    }

    [Fact]
    public void Places_are_those_before_learnt_tokens_and_go_where_their_batch_goes()
    {
        var batch = LanguageFixtures.Collate([[Text(1, 6, prompt: 4)], [Text(2, 3), Text(3, 2)]], 0);

        Assert.Equal([3, 4, 6, 7, 9], batch.LearntPlaces!.data<long>().ToArray());
        Assert.Equal(DeviceType.META, batch.To(META).LearntPlaces!.device_type);
        batch.Dispose();
        Assert.True(batch.LearntPlaces.IsInvalid);
    }

    [Fact]
    public void Where_nearly_all_tokens_are_learnt_none_is_chosen()
    {
        using var full = LanguageFixtures.Collate([[Text(1, 30)], [Text(2, 30)]], 0);
        Assert.Null(full.LearntPlaces);
    }

    /// <returns>States that the head was given in the forward pass, and in both.</returns>
    private static (long Forward, long All) AgreesWithAutograd(CausalLanguageModel model, Batch batch, long elements, double smoothing, double tolerance)
    {
        var (logits, labels) = (model.call(batch.Inputs).flatten(0, 1), LanguageModelLoss.Shifted(batch.Labels).flatten());
        var losses = LanguageModelLoss.Each(logits, labels, smoothing).reshape(batch.Labels.shape);
        var expected = Gradients(model, losses);
        using var counted = new Counted(model);

        var tokens = NextTokens.Of(counted, batch, elements, smoothing);

        var forward = counted.Rows;
        var actual = Gradients(model, tokens.Losses);
        Assert.InRange((losses - tokens.Losses).abs().max().ToDouble(), 0, tolerance);
        Assert.Equal(LanguageModelLoss.Hits(logits, labels).reshape(batch.Labels.shape), tokens.Hits);
        Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
        Assert.All(expected, gradient => Assert.InRange((gradient.Value - actual[gradient.Key]).norm().ToDouble() / gradient.Value.norm().ToDouble(), 0, tolerance));
        return (forward, counted.Rows);
    }

    /// <summary>With an adapter some way off 0.</summary>
    private static CausalLanguageModel Adapted(IReadOnlyList<string> targets)
    {
        var config = (LlamaConfig)PretrainedConfig.Read(LanguageFixtures.TinyLlama) with { TieWordEmbeddings = false };
        var model = (CausalLanguageModel)config.Create(ModelHead.CausalLm);
        using var random = new Generator(1);
        model.InitializeWeights(model.state_dict().Keys.ToHashSet(), random);
        LoraAdapter.Attach(model, new() { TargetModules = new(targets), LoraDropout = 0.1 }, ModelHead.CausalLm, "random", [], seed: 1);
        using var _ = no_grad();
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn(parameter.shape, generator: random), 0.1);
        model.eval();
        return model;
    }

    private static void Agree(Result expected, Result actual)
    {
        Assert.True(expected.Tokens.Losses.allclose(actual.Tokens.Losses, rtol: 1e-6, atol: 1e-6));
        Assert.Equal(expected.Tokens.Hits, actual.Tokens.Hits);
        Assert.NotEmpty(expected.Gradients);
        Assert.All(expected.Gradients, gradient => Assert.InRange((gradient.Value - actual.Gradients[gradient.Key]).abs().max().ToDouble(), 0, 1e-4));
    }

    private Result Compute(Batch batch, long elements)
    {
        using var model = new Counted(_model);
        var tokens = NextTokens.Of(model, batch, elements);
        var rows = model.Rows;
        return new(tokens, Gradients(_model, tokens.Losses), rows);
    }

    /// <summary>Of a loss that weighs every token otherwise.</summary>
    private static Dictionary<string, Tensor> Gradients(CausalLanguageModel model, Tensor losses)
    {
        model.zero_grad();
        (losses * linspace(0, 1, losses.numel()).reshape(losses.shape)).sum().backward();
        return Taken(model);
    }

    private static Dictionary<string, Tensor> Taken(CausalLanguageModel model)
    {
        var gradients = model.named_parameters().Where(entry => entry.parameter.grad is not null).ToDictionary(entry => entry.name, entry => entry.parameter.grad!.clone());
        model.zero_grad();
        return gradients;
    }

    /// <summary>The first tokens are not learnt.</summary>
    private static TokenSequence Text(int seed, int length, int prompt = 0) =>
        new([.. Enumerable.Range(0, length).Select(at => 3 + (seed * 7919 + at * 104_729) % 500)], [.. Enumerable.Range(0, length).Select(at => at < prompt ? 0f : 1)]);

    /// <param name="Rows">That the head was given in the forward pass.</param>
    private sealed record Result(NextTokens Tokens, Dictionary<string, Tensor> Gradients, long Rows);

    /// <summary>A model that counts the states whose logits it gives.</summary>
    private sealed class Counted(CausalLanguageModel model) : CausalLanguageModel(model.Config)
    {
        public long Rows { get; private set; }

        public override string BaseModelPrefix => model.BaseModelPrefix;

        public override Tensor Hidden(ModelInputs inputs) => model.Hidden(inputs);

        public override Tensor Logits(Tensor hidden)
        {
            Rows += hidden.numel() / hidden.size(-1);
            return model.Logits(hidden);
        }
    }
}
