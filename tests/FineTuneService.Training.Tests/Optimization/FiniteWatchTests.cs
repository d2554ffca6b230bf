using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tests.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Optimization;

[Collection(GlobalGenerator.Name)]
public sealed class FiniteWatchTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void The_first_step_that_diverges_is_found_however_late_somebody_asks()
    {
        var watch = new FiniteWatch();
        Add(watch, 1, [1, 2], 3);
        Assert.Null(watch.Read());
        Add(watch, 2, [1], 1);
        Add(watch, 3, [1, 1, float.NaN, float.NaN], float.NaN);
        Add(watch, 4, [float.NaN], float.NaN);
        Assert.Equal(new Divergence(3, 2), watch.Read());
        Assert.Null(watch.Read());
        Add(watch, 5, [1, 1], float.PositiveInfinity);
        Assert.Equal(new Divergence(5, null), watch.Read());
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_step_whose_norm_is_no_number_changes_neither_weights_nor_optimizer(float spoilt)
    {
        using var model = PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);
        new FullFineTuningConfig().Prepare(model, ModelHead.CausalLm, LanguageFixtures.TinyLlama, seed: 1);
        using var optimizer = new AdamW(model, weightDecay: 0.1);
        Step(1);
        var before = Everything();

        var norm = Step(spoilt);

        Assert.False(double.IsFinite(norm));
        Assert.All(Everything(), entry => Assert.True(entry.Value.eq(before[entry.Key]).all().ToBoolean(), entry.Key));
        Step(1);
        Assert.All(Everything().Where(entry => entry.Key.StartsWith("step.", StringComparison.Ordinal)), entry => Assert.Equal(2, entry.Value.ToDouble()));
        Assert.Contains(Everything(), entry => !entry.Value.eq(before[entry.Key]).all().ToBoolean());

        double Step(float last)
        {
            foreach (var parameter in model.parameters())
                parameter.grad = ones_like(parameter);
            model.parameters().Last().grad![0] = last;
            return optimizer.Step(learningRate: 0.1, maxGradNorm: 1).ToDouble();
        }

        Dictionary<string, Tensor> Everything() =>
            model.named_parameters().Select(entry => (Name: entry.name, Tensor: (Tensor)entry.parameter)).Concat(optimizer.State).ToDictionary(entry => entry.Name, entry => entry.Tensor.detach().clone());
    }

    private static void Add(FiniteWatch watch, int step, float[] losses, float norm) => watch.Add(step, losses.Select(loss => tensor(loss)), tensor(norm));
}
