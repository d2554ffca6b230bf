using FineTuneService.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Native;

public sealed class MathKernelsTests
{
    [Fact]
    public void Products_of_the_widest_kernels_are_right()
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        Tensor left = randn(67, 131), right = randn(131, 45);

        var product = left.matmul(right);

        var exact = left.to(ScalarType.Float64).matmul(right.to(ScalarType.Float64));
        Assert.InRange((product - exact).abs().max().ToDouble(), 0, 1e-4);
    }

    [Fact]
    public void The_allocator_takes_its_settings() => Assert.True(HostMemory.Keep());
}
