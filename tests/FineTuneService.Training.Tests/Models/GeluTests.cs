using FineTuneService.Training.Models.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Models;

public sealed class GeluTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    /// <summary>The last is libtorch's.</summary>
    [Theory]
    [InlineData(Gelu.Smallest, 1e-6)]
    [InlineData(Gelu.Smallest + 16 + 5, 1e-6)]
    [InlineData(Gelu.Smallest - 1, 2e-6)]
    public void It_and_its_gradient_are_right(long count, double tolerance)
    {
        var input = linspace(-12, 12, count, requires_grad: true);
        var arriving = randn(count);
        var exact = input.detach().to(ScalarType.Float64).requires_grad_();

        var result = Gelu.Of(input * 1);
        result.backward([arriving]);
        var expected = nn.functional.gelu(exact);
        expected.backward([arriving.to(ScalarType.Float64)]);

        Assert.InRange((result - expected).abs().max().ToDouble(), 0, tolerance);
        Assert.InRange((input.grad! - exact.grad!).abs().max().ToDouble(), 0, 2e-6);
    }

    [Fact]
    public void What_it_gives_is_the_same_whether_a_gradient_is_wanted_or_not()
    {
        var input = randn(Gelu.Smallest).requires_grad_();
        using var wanted = Gelu.Of(input * 1);
        using (no_grad())
            Assert.Equal(wanted, Gelu.Of(input * 1));
    }

    [Fact]
    public void Only_what_is_nobodys_is_written_over()
    {
        Tensor leaf = randn(Gelu.Smallest).requires_grad_(), constant = randn(Gelu.Smallest);
        var before = (leaf.detach().clone(), constant.clone());
        Gelu.Of(leaf);
        Gelu.Of(constant);
        using (no_grad())
            Gelu.Of(leaf);
        Assert.Equal(before, (leaf.detach(), constant));
    }

    [Theory]
    [InlineData(float.NaN, float.NaN)]
    [InlineData(float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData(80f, 80f)]
    [InlineData(-80f, 0f)]
    public void Its_ends_are_right(float number, float expected) => Assert.Equal(expected, Gelu.Of(full(Gelu.Smallest, number))[3].ToSingle(), 1e-30f);
}
