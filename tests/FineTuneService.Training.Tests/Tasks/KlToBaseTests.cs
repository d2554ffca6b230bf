using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Tests.Tasks;

/// <summary>What holds a model near its base, against the same formula over all logits.</summary>
[Collection(GlobalGenerator.Name)]
public sealed class KlToBaseTests : IDisposable
{
    private const double Weight = 0.7;

    private static readonly string Bert = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", "bert-mlm");

    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Theory]
    [InlineData(false, 1 << 24)]
    [InlineData(false, 512 * 7)]
    [InlineData(false, 512 * 7, 1.0)]
    [InlineData(true, 1 << 24)]
    [InlineData(true, 512 * 7)]
    [InlineData(true, 512 * 7, 1.0)]
    public void A_causal_model_pays_for_every_learnt_token_what_it_says_otherwise_than_its_base(bool adapter, long elements, double? factor = null)
    {
        using var batch = LanguageFixtures.Collate([[Text(1, 20), Shares(2, 11)], [Text(3, 26)]], 0);
        Assert.NotNull(batch.LearntPlaces);
        var labels = LanguageModelLoss.Shifted(batch.Labels);
        using var model = (CausalLanguageModel)Moved(LanguageFixtures.TinyLlama, ModelHead.CausalLm, adapter, out var anchor);
        using var _ = anchor;

        var loss = NextTokens.Of(model, batch, elements, anchor: anchor, factor: factor).Sum(batch.Weights, anchor);
        var gradients = Gradients(model, loss.Sum);

        var divergences = Expected(model, LanguageFixtures.TinyLlama, ModelHead.CausalLm, batch) * LanguageModelLoss.Shifted(batch.Weights!);
        var expected = LanguageModelLoss.CausalSum(model.call(batch.Inputs), batch.Labels, batch.Weights) + Weight * divergences.masked_fill(labels.eq(LanguageModelLoss.Ignored), 0).sum();
        Agree(expected, Gradients(model, expected), loss, gradients);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_masked_model_pays_for_every_hidden_token(bool adapter)
    {
        var task = MaskedTask();
        using var batch = task.Train.Collate([0, 1]);
        using var model = Moved(Bert, ModelHead.MaskedLm, adapter, out var anchor);
        using var _ = anchor;
        task.KlToBase = anchor;

        var loss = task.Loss(model, batch);
        var gradients = Gradients(model, loss.Sum);

        task.KlToBase = null;
        var expected = task.Loss(model, batch).Sum + Weight * Expected(model, Bert, ModelHead.MaskedLm, batch).sum();
        Agree(expected, Gradients(model, expected), loss, gradients);
    }

    [Fact]
    public void Dropout_is_drawn_as_without_and_the_base_has_none()
    {
        var task = MaskedTask();
        using var batch = task.Train.Collate([0, 1]);
        using var model = ((BertConfig)PretrainedConfig.Read(Bert) with { HiddenDropoutProb = 0.5 }).Create(ModelHead.MaskedLm);
        new LoraConfig().Prepare(model, ModelHead.MaskedLm, Bert, seed: 1);
        model.eval();
        var still = model.call(batch.Inputs);
        model.train();
        var without = Loss();

        task.KlToBase = Anchor(model, Bert, new LoraConfig(), ModelHead.MaskedLm, weight: 0);
        Assert.Null(task.KlToBase);
        task.KlToBase = Anchor(model, Bert, new LoraConfig(), ModelHead.MaskedLm, Weight);
        var with = Loss();

        Assert.True(model.training);
        Assert.Equal(still, task.KlToBase!.Ask(model, asked => asked.call(batch.Inputs)));
        var divergence = with.Metrics[KlToBase.Metric].ToDouble();
        Assert.True(divergence > 0); // The model's own dropout alone.
        Assert.Equal(without.Sum.ToDouble() + Weight * divergence, with.Sum.ToDouble(), 1e-5);

        TaskLoss Loss()
        {
            manual_seed(3);
            return task.Loss(model, batch);
        }
    }

    [Fact]
    public void A_model_that_is_its_base_pays_nothing()
    {
        using var batch = LanguageFixtures.Collate([[Text(1, 20)], [Text(3, 26)]], 0);
        using var model = (CausalLanguageModel)PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);
        new FullFineTuningConfig().Prepare(model, ModelHead.CausalLm, LanguageFixtures.TinyLlama, seed: 1);
        using var anchor = Anchor(model, LanguageFixtures.TinyLlama, new FullFineTuningConfig(), ModelHead.CausalLm, Weight);

        var loss = NextTokens.Of(model, batch, anchor: anchor).Sum(null, anchor);

        Assert.Equal(0, loss.Metrics[KlToBase.Metric].ToDouble());
        Assert.Equal(NextTokens.Of(model, batch).Sum(null).Sum.ToDouble(), loss.Sum.ToDouble());
    }

    [Fact]
    public void A_head_that_the_base_lacks_and_a_base_that_is_gone_are_refused()
    {
        using var model = PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);
        new LoraConfig { Bias = LoraBias.None, ModulesToSave = ["embed_tokens"] }.Prepare(model, ModelHead.CausalLm, LanguageFixtures.TinyLlama, seed: 1);

        Assert.Contains("embed_tokens", Refused(new LoraConfig(), []).Value, StringComparison.Ordinal);
        Assert.Contains("lm_head.weight", Refused(new FullFineTuningConfig(), ["lm_head.weight"]).Message, StringComparison.Ordinal);

        Fault Refused(MethodConfig method, string[] newKeys) =>
            Assert.Single(Assert.Throws<FaultException>(() => KlToBase.Of(Spec(LanguageFixtures.TinyLlama, method, ModelHead.CausalLm, Weight), model, newKeys, CPU)).Faults);
    }

    /// <summary>KL(base ‖ model) of every place that has logits: Σ softmax(base) · (log softmax(base) − log softmax(model)).</summary>
    private static Tensor Expected(PretrainedModel model, string folder, ModelHead head, Batch batch)
    {
        using var untouched = PretrainedConfig.Read(folder).Create(head);
        new FullFineTuningConfig().Prepare(untouched, head, folder, seed: 1);
        untouched.eval();
        var (ofBase, logits) = (untouched.call(batch.Inputs).detach(), model.call(batch.Inputs));
        return (functional.softmax(ofBase, -1) * (functional.log_softmax(ofBase, -1) - functional.log_softmax(logits, -1))).sum(-1);
    }

    /// <summary>A model some way off its base.</summary>
    private static PretrainedModel Moved(string folder, ModelHead head, bool adapter, out KlToBase anchor)
    {
        var model = PretrainedConfig.Read(folder).Create(head);
        TrainingMethodConfig method = adapter ? new LoraConfig() : new FullFineTuningConfig();
        method.Prepare(model, head, folder, seed: 1);
        model.eval();
        anchor = Anchor(model, folder, method, head, Weight)!;
        using var _ = no_grad();
        manual_seed(5);
        foreach (var parameter in model.parameters().Where(parameter => parameter.requires_grad))
            parameter.add_(randn_like(parameter) * (adapter ? 0.3 : 0.03));
        return model;
    }

    private static void Agree(Tensor expected, Dictionary<string, Tensor> expectedGradients, TaskLoss loss, Dictionary<string, Tensor> gradients)
    {
        Assert.True(loss.Metrics[KlToBase.Metric].ToDouble() > 0.1, $"{loss.Metrics[KlToBase.Metric].ToDouble()}");
        Assert.Equal(expected.ToDouble(), loss.Sum.ToDouble(), 1e-3);
        Assert.Equal(expectedGradients.Keys.Order(), gradients.Keys.Order());
        Assert.All(gradients, gradient => Assert.InRange((gradient.Value - expectedGradients[gradient.Key]).abs().max().ToDouble(), 0, 1e-4));
    }

    private static Dictionary<string, Tensor> Gradients(PretrainedModel model, Tensor loss)
    {
        loss.backward();
        var gradients = model.named_parameters().Where(entry => entry.parameter.grad is not null).ToDictionary(entry => entry.name, entry => entry.parameter.grad!.clone());
        model.zero_grad();
        return gradients;
    }

    private static KlToBase? Anchor(PretrainedModel model, string folder, MethodConfig method, ModelHead head, double weight) => KlToBase.Of(Spec(folder, method, head, weight), model, [], CPU);

    private static JobSpec Spec(string folder, MethodConfig method, ModelHead head, double weight) => new()
    {
        BaseModel = folder,
        Task = head == ModelHead.CausalLm ? new CausalLmConfig() : new MaskedLanguageModelConfig(),
        Method = method,
        Dataset = new() { Train = "rows" },
        Training = new() { KlToBaseWeight = weight },
    };

    /// <summary>Two rows whose every second token is hidden, or thereabouts.</summary>
    private static MaskedLanguageModelTask MaskedTask()
    {
        var data = TokenizedDataset.Build(draft => draft.Write("train", [.. new[] { 12, 9 }.Select((length, seed) => new StoredRow(draft.Add(Text(seed, length, 30).Ids, [.. Enumerable.Range(0, length)])))]));
        return new(data, new MaskingRule(0.5, false, MaskReplacement.Bert, 4, 30, 1), 0);
    }

    private static TokenSequence Text(int seed, int length, int vocabulary = 500) => TokenSequence.Whole([.. Enumerable.Range(0, length).Select(at => 3 + (seed * 7919 + at * 104_729) % (vocabulary - 3))]);

    private static TokenSequence Shares(int seed, int length) => new(Text(seed, length).Ids, [.. Enumerable.Range(0, length).Select(at => at < 4 ? 0 : 0.5f)]);
}
