using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
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

    [Fact]
    public void A_batch_of_which_nothing_is_learnt_costs_nothing_and_can_be_differentiated()
    {
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

    private static void Agree(Result expected, Result actual)
    {
        Assert.True(expected.Tokens.Losses.allclose(actual.Tokens.Losses, rtol: 1e-6, atol: 1e-6));
        Assert.Equal(expected.Tokens.Hits, actual.Tokens.Hits);
        Assert.NotEmpty(expected.Gradients);
        Assert.All(expected.Gradients, gradient => Assert.InRange((gradient.Value - actual.Gradients[gradient.Key]).abs().max().ToDouble(), 0, 1e-4));
    }

    /// <summary>With a loss that weighs every token otherwise.</summary>
    private Result Compute(Batch batch, long elements)
    {
        _model.zero_grad();
        using var model = new Counted(_model);
        var tokens = NextTokens.Of(model, batch, elements);
        var rows = model.Rows;
        (tokens.Losses * linspace(0, 1, tokens.Losses.numel()).reshape(tokens.Losses.shape)).sum().backward();
        return new(tokens, _model.named_parameters().Where(entry => entry.parameter.grad is not null).ToDictionary(entry => entry.name, entry => entry.parameter.grad!.clone()), rows);
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
