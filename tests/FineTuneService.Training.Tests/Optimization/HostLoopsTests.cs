using FineTuneService.Training.Native;
using FineTuneService.Training.Optimization;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Optimization;

/// <summary>What our own loops compute on the host, against libtorch's kernels.</summary>
public sealed class HostLoopsTests : IDisposable
{
    private const double Rate = 1e-2, MaxGradNorm = 0.5;

    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    /// <summary>Fewer numbers than a vector has; a vector and some more; several blocks and some more.</summary>
    [Theory]
    [InlineData(3, 5)]
    [InlineData(7, 3)]
    [InlineData(500, 701)]
    public void A_step_of_AdamW_is_that_of_the_fused_kernel(int rows, int columns)
    {
        var rule = new AdamWRule(WeightDecay: 0.1, Beta1: 0.8, Beta2: 0.99, Epsilon: 1e-7);
        using var model = new TwoWeights(rows, columns);
        using var optimizer = new AdamW(model, rule);
        Tensor[] weights = [model.matrix.detach().clone(), model.vector.detach().clone()];
        Tensor[] means = [.. weights.Select(weight => zeros_like(weight))], squares = [.. weights.Select(weight => zeros_like(weight))], steps = [zeros([]), zeros([])];
        for (var step = 1; step <= 5; step++)
        {
            model.SetGradients(step);
            Tensor[] gradients = [model.matrix.grad!.clone(), model.vector.grad!.clone()];
            var norm = optimizer.Step(Rate, MaxGradNorm);
            var divisor = ((norm + 1e-6) / MaxGradNorm).clamp(min: 1);
            foreach (var (at, decay) in new[] { (0, rule.WeightDecay), (1, 0) })
                TorchScript.AdamW([weights[at]], [gradients[at]], [means[at]], [squares[at]], [steps[at]], zeros([]), divisor, Rate, rule.Beta1, rule.Beta2, decay, rule.Epsilon);
        }
        var state = optimizer.State.ToDictionary(entry => entry.Name, entry => entry.Tensor);
        Tensor[] expected = [.. weights, .. means, .. squares, .. steps];
        Tensor[] actual =
        [
            model.matrix, model.vector, state["exp_avg.matrix"], state["exp_avg.vector"], state["exp_avg_sq.matrix"], state["exp_avg_sq.vector"], state["step.matrix"], state["step.vector"],
        ];
        Assert.All(expected.Zip(actual), pair => Assert.True(pair.First.allclose(pair.Second, rtol: 1e-5, atol: 1e-7)));
    }

    /// <summary>Whole blocks of 256, and a beginning of another.</summary>
    [Theory]
    [InlineData(64, 80)]
    [InlineData(500, 701)]
    public void A_step_in_8_bits_has_the_bits_of_one_in_fp32_that_is_quantised(int rows, int columns)
    {
        var rule = new AdamWRule(WeightDecay: 0.1);
        using TwoWeights exact = new(rows, columns), coded = new(rows, columns), asOnGpu = new(rows, columns);
        using var ofExact = new AdamW(exact, rule);
        using AdamW8bit ofCoded = new(coded, rule), ofGpu = new(asOnGpu, rule, mayLoop: false);
        var (means, codes) = (ofExact.State.ToDictionary(entry => entry.Name, entry => entry.Tensor), ofCoded.State.ToDictionary(entry => entry.Name, entry => entry.Tensor));
        for (var step = 1; step <= 4; step++)
        {
            foreach (var (mean, map) in Maps)
                means[$"{mean}.matrix"].copy_(map.Dequantize(codes[$"{mean}_codes.matrix"], codes[$"{mean}_absmax.matrix"]).view(rows, columns));
            foreach (var (model, optimizer) in new (TwoWeights, Optimizer)[] { (exact, ofExact), (coded, ofCoded), (asOnGpu, ofGpu) })
            {
                model.SetGradients(step);
                optimizer.Step(Rate, MaxGradNorm);
            }
            Assert.Equal(exact.matrix, coded.matrix);
            foreach (var (mean, map) in Maps)
                Assert.Equal(map.Quantize(means[$"{mean}.matrix"]), (codes[$"{mean}_codes.matrix"], codes[$"{mean}_absmax.matrix"]));
        }
        Assert.InRange((coded.matrix - asOnGpu.matrix).abs().mean().ToDouble(), 0, 1e-3 * Rate); // Few numbers fall to the other side of a midpoint.
    }

    private static (string, DynamicMap)[] Maps => [(AdamWRule.ExpAvg, DynamicMap.Signed), (AdamWRule.ExpAvgSq, DynamicMap.Unsigned)];

    /// <summary>Whatever the numbers; for one of them or the next, see <see cref="DynamicMapLoop"/>, no two midpoints may share the upper half of their bits.</summary>
    [Fact]
    public void Codes_are_told_apart_by_the_upper_half_of_a_number() =>
        Assert.All(Maps, map => Assert.Equal(255, map.Item2.Midpoints.Select(midpoint => BitConverter.SingleToInt32Bits(midpoint) >> 16).Distinct().Count()));

    [Fact]
    public void A_mean_that_falls_for_long_ends_at_nothing()
    {
        using var model = new TwoWeights(3, 5);
        using var optimizer = new AdamW(model, weightDecay: 0);
        model.SetGradients(1);
        optimizer.Step(Rate, MaxGradNorm);
        for (var step = 0; step < 900; step++) // 0.9⁹⁰⁰ is 1e-41, which fp32 has no full number for
        {
            (model.matrix.grad, model.vector.grad) = (zeros_like(model.matrix), zeros_like(model.vector));
            optimizer.Step(Rate, MaxGradNorm);
        }
        var state = optimizer.State.ToDictionary(entry => entry.Name, entry => entry.Tensor);
        Assert.Equal(0, state["exp_avg.matrix"].count_nonzero().ToInt64());
        Assert.True(state["exp_avg_sq.matrix"].gt(0).all().ToBoolean());
    }

    /// <summary>Gradients are taken as they are in bf16, where there is only one micro-batch; copies in bf16 are made with the weights.</summary>
    [Theory]
    [InlineData(3, 5, 1)]
    [InlineData(500, 701, 1)]
    [InlineData(500, 701, 2)]
    public void A_step_in_bf16_has_the_bits_of_one_with_the_same_gradients_in_fp32(int rows, int columns, int microBatches)
    {
        using TwoWeights exact = new(rows, columns), shortened = new(rows, columns);
        shortened.ComputeIn(ScalarType.BFloat16);
        using AdamW ofExact = new(exact, weightDecay: 0.1), ofShortened = new(shortened, weightDecay: 0.1);
        for (var step = 0; step < 3; step++)
        {
            for (var micro = 0; micro < microBatches; micro++)
            {
                shortened.SetGradients(step + micro);
                var (matrix, vector) = (shortened.matrix.grad!.to(ScalarType.Float32), shortened.vector.grad!.to(ScalarType.Float32));
                (exact.matrix.grad, exact.vector.grad) = micro == 0 ? (matrix, vector) : (exact.matrix.grad! + matrix, exact.vector.grad! + vector);
                ofShortened.Collect();
            }
            Assert.Equal(ofExact.Step(Rate, MaxGradNorm), ofShortened.Step(Rate, MaxGradNorm));
        }
        Assert.Equal(ofExact.State, ofShortened.State);
        foreach (var (name, weight) in exact.named_parameters())
        {
            Assert.Equal(weight, shortened.ExactState().Single(entry => entry.Key == name).Tensor);
            Assert.Equal(weight.to(ScalarType.BFloat16), shortened.get_parameter(name));
        }
    }

    [Fact]
    public void Copies_are_rounded_as_libtorch_rounds()
    {
        var random = new Random(1);
        int[] bits = [.. Enumerable.Range(0, 4096).Select(_ => random.Next(int.MinValue, int.MaxValue)), .. Enumerable.Range(0, 4096).Select(i => (i << 19) + 0x8000), -1, int.MaxValue]; // of all kinds; halfway between two; NaN
        float[] numbers = [.. bits.Select(BitConverter.Int32BitsToSingle), 0, -0f, float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, float.Epsilon];
        using var model = new TwoWeights(numbers.Length);
        using (no_grad())
            model.matrix.copy_(tensor(numbers));
        model.ComputeIn(ScalarType.BFloat16);
        var expected = model.matrix.detach().clone();
        using (no_grad())
            model.matrix.zero_();
        using var optimizer = new AdamW(model, weightDecay: 0);
        (model.matrix.grad, model.vector.grad) = (zeros_like(model.matrix), zeros_like(model.vector));
        optimizer.Step(learningRate: 0, MaxGradNorm);

        Assert.Equal(expected.isnan(), model.matrix.isnan());
        Assert.Equal(expected.nan_to_num(nan: 0).bytes.ToArray(), model.matrix.detach().nan_to_num(nan: 0).bytes.ToArray());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(HostLoop.Block - 1)]
    [InlineData((3 * HostLoop.Block) + 17)]
    public void Every_number_counts_in_the_norm(int count)
    {
        Tensor[] gradients = [randn(count), randn(3, 7), randn(HostLoop.Block), randn(count + 3, ScalarType.BFloat16)];
        var exact = Math.Sqrt(gradients.Sum(gradient => gradient.to(ScalarType.Float64).square().sum().ToDouble()));
        Assert.Equal(exact, GradientNorm.Of(gradients).ToDouble(), exact * 1e-6);
        Assert.Equal(exact, TorchScript.GlobalNorm([.. gradients.Select(gradient => gradient.to(ScalarType.Float32))]).ToDouble(), exact * 1e-5);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_number_that_is_none_makes_the_norm_none(float number)
    {
        var gradient = randn(HostLoop.Block + 5);
        gradient[HostLoop.Block + 2] = number;
        Assert.False(float.IsFinite(GradientNorm.Of([gradient]).ToSingle()));
    }
}
