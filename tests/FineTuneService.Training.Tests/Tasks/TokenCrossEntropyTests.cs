using FineTuneService.Training.Tasks;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Tests.Tasks;

public sealed class TokenCrossEntropyTests
{
    [Theory]
    [InlineData(ScalarType.Float32, false, 1e-6)]
    [InlineData(ScalarType.Float32, true, 1e-6)]
    [InlineData(ScalarType.BFloat16, false, 1e-2)]
    [InlineData(ScalarType.BFloat16, true, 1e-2)]
    public void Losses_and_gradients_are_those_of_torch_and_logits_are_written_over_where_they_may_be(ScalarType type, bool mayOverwrite, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        var hidden = randn([7, 3], generator: random).to(type).requires_grad_();
        var (matrix, weights) = (randn([3, 11], generator: random).to(type), rand([7], generator: random));
        var labels = tensor(new long[] { 4, 0, LanguageModelLoss.Ignored, 10, 2, LanguageModelLoss.Ignored, 4 });
        var logits = hidden.matmul(matrix);
        var before = logits.detach().clone();

        var losses = LanguageModelLoss.Each(logits, labels, mayOverwrite: mayOverwrite);
        (losses * weights).sum().backward();

        var exact = before.to(ScalarType.Float32).requires_grad_();
        var expected = functional.cross_entropy(exact, labels, ignore_index: LanguageModelLoss.Ignored, reduction: Reduction.None);
        (expected * weights).sum().backward();
        Near(expected, losses, 1e-6);
        Near(exact.grad!.to(type).matmul(matrix.t()), hidden.grad!, tolerance);
        Near(mayOverwrite ? exact.grad! : before, logits.detach(), mayOverwrite ? tolerance : 0);

        static void Near(Tensor expected, Tensor actual, double tolerance) => Assert.InRange((expected.to(ScalarType.Float32) - actual.to(ScalarType.Float32)).abs().max().ToDouble(), 0, tolerance);
    }
}
