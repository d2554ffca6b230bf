using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>
/// Losses of tokens whose gradients are made with them, while the logits are there (Liger's fused linear cross-entropy, arXiv:2410.10989). As a token's loss depends on its own state alone, all that its gradient
/// lacks is a factor, which the backward pass brings. Weights get no gradient: the head must be frozen.
/// </summary>
internal sealed class FusedCrossEntropy : autograd.SingleTensorFunction<FusedCrossEntropy>
{
    public override string Name => nameof(FusedCrossEntropy);

    /// <param name="states"><c>[tokens, hidden]</c>, with a gradient.</param>
    /// <param name="losses">Of states, <c>[tokens]</c>, each of its own state alone.</param>
    public static Tensor Of(Tensor states, Func<Tensor, Tensor> losses) => BackwardPass.Apply(() => apply(states, losses));

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.set_materialize_grads(false);
        using var _ = enable_grad();
        using var scope = NewDisposeScope();
        var states = ((Tensor)vars[0]).detach().requires_grad_();
        var losses = ((Func<Tensor, Tensor>)vars[1])(states);
        losses.backward([ones_like(losses)]);
        BackwardPass.ThrowIfFailed();
        // (p − label) · W is at most twice the largest weight: fp16 holds it, however small or large the factor will be.
        ctx.save_for_backward([states.grad!.MoveToOuterDisposeScope()]);
        return losses.detach().MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => BackwardPass.Gradients(inputs: 2, grad_output, () =>
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var gradient = ctx.get_saved_variables()[0];
        return [(gradient * grad_output.unsqueeze(1)).to(gradient.dtype).MoveToOuterDisposeScope(), null!];
    });
}
