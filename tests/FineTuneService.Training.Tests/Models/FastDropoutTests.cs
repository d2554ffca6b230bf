using System.Runtime.Intrinsics;
using FineTuneService.Training.Models.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Models;

[Collection(GlobalGenerator.Name)]
public sealed class FastDropoutTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public FastDropoutTests() => manual_seed(11);

    public void Dispose() => _scope.Dispose();

    /// <summary>The first numbers of the authors' program, https://prng.di.unimi.it/xoshiro128plusplus.c, from the state 1, 2, 3, 4.</summary>
    [Fact]
    public void Every_lane_is_xoshiro128()
    {
        var random = new SixteenXoshiro128(Vector512.Create(1u), Vector512.Create(2u), Vector512.Create(3u), Vector512.Create(4u));

        foreach (var expected in new uint[] { 641, 1573767, 3222811527, 3517856514, 836907274, 4247214768 })
            Assert.Equal(Vector512.Create(expected), random.Next());
    }

    /// <summary>As many zeros as chance allows, five standard deviations either way, wherever one looks: in all, in each lane, and in pairs of neighbours.</summary>
    [Theory]
    [InlineData(ScalarType.Float32, 0.1)]
    [InlineData(ScalarType.Float32, 0.5)]
    [InlineData(ScalarType.BFloat16, 0.1)]
    [InlineData(ScalarType.Float16, 0.3)]
    public void Numbers_become_0_with_the_probability_asked_for(ScalarType type, double probability)
    {
        var zeros = FastDropout.Of(ones([1000, 1600], type), probability).eq(0).to(ScalarType.Float64);

        AssertNear(probability, zeros.mean(), zeros.numel());
        foreach (var lane in zeros.view(-1, 32).mean([0]).data<double>())
            AssertNear(probability, tensor(lane), zeros.numel() / 32);
        AssertNear(probability * probability, (zeros[.., 1..] * zeros[.., ..^1]).mean(), zeros.numel());
        AssertNear(probability * probability, (zeros[1..] * zeros[..^1]).mean(), zeros.numel());

        static void AssertNear(double expected, Tensor mean, long count) =>
            Assert.InRange(mean.ToDouble(), expected - 5 * Math.Sqrt(expected * (1 - expected) / count), expected + 5 * Math.Sqrt(expected * (1 - expected) / count));
    }

    [Fact]
    public void What_remains_is_scaled_and_has_the_gradient_of_its_scale()
    {
        var input = randn([7, 13]).requires_grad_(); // ends in the middle of a vector

        var output = FastDropout.Of(input, 0.25);
        output.sum().backward();

        var kept = output.ne(0);
        Assert.InRange(kept.sum().ToInt64(), 40, 90);
        Assert.True(output.allclose(where(kept, input / 0.75, 0)));
        Assert.True(input.grad!.allclose(kept.to(ScalarType.Float32) / 0.75));
    }

    [Fact]
    public void A_seed_repeats_it_and_the_next_call_differs()
    {
        var input = ones([64, 64]);
        Tensor Draw() => FastDropout.Of(input, 0.5);

        manual_seed(3);
        var (first, second) = (Draw(), Draw());
        manual_seed(3);

        Assert.True(Draw().equal(first).all().ToBoolean());
        Assert.False(first.equal(second).all().ToBoolean());
    }

    [Fact]
    public void Outside_training_nothing_is_drawn()
    {
        var state = get_rng_state();
        var input = randn([8]);
        manual_seed(11);

        Assert.Same(input, FastDropout.Of(input, 0.5, training: false));
        Assert.Same(input, FastDropout.Of(input, 0));
        Assert.True(state.equal(get_rng_state()).all().ToBoolean());
    }

    /// <summary>A probability so small that nothing is dropped: then the steps must give what the kernel gives, and the same gradients.</summary>
    [Theory]
    [InlineData("none")]
    [InlineData("padding")]
    [InlineData("bias")]
    [InlineData("causal")]
    public void Attention_step_by_step_is_attention(string mask)
    {
        var inputs = Enumerable.Range(0, 3).Select(_ => randn(2, 9, 4, 8).transpose(1, 2)).ToArray(); // [batch, heads, seq, head], as layers lay them
        var seen = mask switch
        {
            "padding" => arange(9).lt(tensor(new long[] { 9, 6 }).unsqueeze(1)).unsqueeze(1).unsqueeze(1),
            "bias" => randn(2, 4, 9, 9),
            _ => null,
        };

        var (expected, actual) = (Differentiate(0), Differentiate(1e-9));

        foreach (var (one, other) in expected.Zip(actual))
            Assert.True(one.allclose(other, rtol: 1e-5, atol: 1e-6));

        Tensor[] Differentiate(double dropout)
        {
            var leaves = inputs.Select(input => input.detach().clone().requires_grad_()).ToArray();
            var result = Attention.ScaledDotProduct(leaves[0], leaves[1], leaves[2], seen, dropout, mask == "causal");
            (result * arange(8)).sum().backward();
            return [result, .. leaves.Select(leaf => leaf.grad!)];
        }
    }
}
