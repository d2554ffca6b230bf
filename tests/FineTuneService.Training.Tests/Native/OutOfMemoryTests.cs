using FineTuneService.Contracts;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Native;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Native;

[Collection(GlobalGenerator.Name)]
public sealed class OutOfMemoryTests
{
    private const long MoreThanAnAddressSpace = 1L << 47;

    [Fact]
    public void What_libtorch_throws_without_memory_is_known_and_told_in_a_line()
    {
        var error = Assert.ThrowsAny<Exception>(() => zeros(MoreThanAnAddressSpace, dtype: ScalarType.Byte));

        Assert.True(OutOfMemory.Is(error));
        Assert.True(OutOfMemory.Is(new AggregateException(new InvalidOperationException("", error))));
        Assert.StartsWith("DefaultCPUAllocator: can't allocate memory", OutOfMemory.Describe(error), StringComparison.Ordinal);
        Assert.DoesNotContain("\n", OutOfMemory.Describe(error), StringComparison.Ordinal);
    }

    [Fact]
    public void So_is_what_TorchScript_throws()
    {
        using var ids = zeros(1, dtype: ScalarType.Int64);
        using var weight = ones(2, 1);
        var error = Assert.ThrowsAny<Exception>(() => TorchScript.Embedding(weight, ids.expand(MoreThanAnAddressSpace / sizeof(float)), -1));

        Assert.True(OutOfMemory.Is(error), error.Message);
        Assert.DoesNotContain("\n", OutOfMemory.Describe(error), StringComparison.Ordinal);
    }

    [Fact]
    public void Other_errors_are_not_taken_for_it()
    {
        var error = Assert.ThrowsAny<Exception>(() => ones(2, 3).reshape(5));
        Assert.False(OutOfMemory.Is(error));
        Assert.True(OutOfMemory.Is(new InsufficientMemoryException()));
    }

    /// <summary>libtorch calls a recomputed part from its backward pass, through which no exception comes alive.</summary>
    [Fact]
    public void Memory_that_lacks_in_a_recomputed_part_is_told_after_the_backward_pass()
    {
        using var input = ones(4, requires_grad: true);
        var first = true;
        var output = Recomputed.Of(Recomputed.Of(input, part => part * 2), Part);
        output.sum().backward();

        var error = Assert.ThrowsAny<Exception>(BackwardPass.ThrowIfFailed);
        Assert.True(OutOfMemory.Is(error));
        BackwardPass.ThrowIfFailed(); // Told once.

        Tensor Part(Tensor part)
        {
            if (!first)
                return part * zeros(MoreThanAnAddressSpace, dtype: ScalarType.Byte);
            first = false;
            return part * 2;
        }
    }

    /// <summary>Its backward pass is a part of its forward pass.</summary>
    [Fact]
    public void Memory_that_lacks_for_a_fused_loss_is_told_in_its_forward_pass()
    {
        using var states = ones(4, 2, requires_grad: true);
        var first = true;

        var error = Assert.ThrowsAny<Exception>(() => FusedCrossEntropy.Of(states, given => Recomputed.Of(given, Part)));

        Assert.True(OutOfMemory.Is(error));
        BackwardPass.ThrowIfFailed();

        Tensor Part(Tensor part)
        {
            if (!first)
                return part * zeros(MoreThanAnAddressSpace, dtype: ScalarType.Byte);
            first = false;
            return part.sum(1);
        }
    }

    [Theory]
    [InlineData("4096", 4096)]
    [InlineData("512MiB", 512L << 20)]
    [InlineData("1.5 gib", 3L << 29)]
    public void Amounts_of_memory_are_read(string given, long bytes) => Assert.Equal(bytes, MemoryLimit.Parse("--memory-limit", given));

    [Theory]
    [InlineData("")]
    [InlineData("-1GiB")]
    [InlineData("8GB")]
    [InlineData("99999999999TiB")]
    public void What_is_none_is_a_fault(string given) => Assert.Equal("--memory-limit", Assert.Single(Assert.Throws<FaultException>(() => MemoryLimit.Parse("--memory-limit", given)).Faults).Pointer);
}
