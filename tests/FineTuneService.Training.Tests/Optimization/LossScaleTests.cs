using FineTuneService.Contracts;
using FineTuneService.Training.Optimization;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Optimization;

/// <summary>The rules are those that torch.amp.GradScaler documents.</summary>
public sealed class LossScaleTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void It_doubles_after_2000_steps_without_overflow()
    {
        var scale = new LossScale();
        var seen = new List<double>();
        for (var step = 1; step <= 4000; step++)
        {
            scale.Update(overflow: step == 1000);
            seen.Add(scale.Value);
        }
        Assert.Equal([65_536, 32_768, 32_768, 65_536], new[] { 999, 1000, 2999, 3000 }.Select(step => seen[step - 1]));
        Assert.Equal(1, scale.Skipped);
    }

    [Fact]
    public void A_step_that_overflows_changes_nothing_but_the_scale()
    {
        using var model = new TwoWeights(6, 4);
        using var optimizer = Optimizer.Create(model, new() { MixedPrecision = MixedPrecision.Fp16 });
        var before = model.Weights();
        model.SetGradients(1);
        model.matrix.grad = model.matrix.grad!.fill_(float.PositiveInfinity);

        Assert.Equal(0, optimizer.Step(1e-2, 1).ToDouble());
        Assert.Equal(before, model.Weights());
        Assert.Null(model.matrix.grad);
        Assert.Equal([("loss_scale", 32_768), ("skipped_steps", 1)], optimizer.Metrics);
    }

    [Fact]
    public void Scaled_gradients_give_the_same_step()
    {
        using TwoWeights plain = new(6, 4), scaled = new(6, 4);
        using Optimizer reference = new AdamW(plain, 0), optimizer = Optimizer.Create(scaled, new() { MixedPrecision = MixedPrecision.Fp16 });
        plain.SetGradients(1);
        scaled.SetGradients(1);
        foreach (var parameter in scaled.parameters())
            parameter.grad = parameter.grad! * optimizer.Scale!.Value;

        Assert.Equal(reference.Step(1e-2, 0.25).ToDouble(), optimizer.Step(1e-2, 0.25).ToDouble());
        Assert.Equal(plain.Weights(), scaled.Weights());
    }
}
