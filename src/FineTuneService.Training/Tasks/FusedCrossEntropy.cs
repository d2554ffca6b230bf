using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>
/// Losses of tokens whose gradients are made with them, while the logits are there (Liger's fused linear cross-entropy, arXiv:2410.10989). As a token's loss depends on its own state alone, all that its gradient
/// lacks is a factor. Where the backward pass is to bring it, the head must be frozen; where it is known beforehand, the head's weights get their gradients at once.
/// </summary>
internal sealed class FusedCrossEntropy : autograd.SingleTensorFunction<FusedCrossEntropy>
{
    private const string KnowsFactors = "knows_factors";

    public override string Name => nameof(FusedCrossEntropy);

    /// <param name="states"><c>[tokens, hidden]</c>.</param>
    /// <param name="losses">Of states, <c>[…, tokens]</c>, each of its own state alone.</param>
    /// <param name="factors">What the backward pass will bring, of the losses' shape; null: it is not known, and no weight of the head is trained.</param>
    public static Tensor Of(Tensor states, Func<Tensor, Tensor> losses, Tensor? factors = null) =>
        BackwardPass.Apply(() => apply(states.requires_grad ? states : states.detach().requires_grad_(), losses, factors!, states.requires_grad));

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.set_materialize_grads(false);
        using var _ = enable_grad();
        using var scope = NewDisposeScope();
        var states = ((Tensor)vars[0]).detach().requires_grad_((bool)vars[3]);
        var losses = ((Func<Tensor, Tensor>)vars[1])(states);
        var factors = (Tensor?)vars[2];
        losses.backward([factors ?? ones_like(losses)]);
        BackwardPass.ThrowIfFailed();
        // Without a factor, (p − label) · W is at most twice the largest weight: fp16 holds it, however small or large the factor will be.
        ctx.save_for_backward([.. new[] { factors, states.grad?.MoveToOuterDisposeScope() }.OfType<Tensor>()]);
        ctx.save_data(KnowsFactors, factors is not null);
        return losses.detach().MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => BackwardPass.Gradients(inputs: 4, grad_output, () =>
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var saved = ctx.get_saved_variables();
        if (!(bool)ctx.get_data(KnowsFactors))
            return [(saved[0] * grad_output.unsqueeze(1)).to(saved[0].dtype).MoveToOuterDisposeScope(), null!, null!, null!];
        if (grad_output.device_type == DeviceType.CPU && !grad_output.allclose(saved[0], rtol: 1e-4, atol: 0)) // Elsewhere it would have to be waited for.
            throw new InvalidOperationException("The loss was multiplied by another factor than its gradient was made with.");
        return [saved.ElementAtOrDefault(1)?.MoveToOuterDisposeScope()!, null!, null!, null!];
    });
}
