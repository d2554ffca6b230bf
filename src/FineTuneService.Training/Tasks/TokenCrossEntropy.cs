using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Tasks;

/// <summary>
/// −log p of labels. Autograd would keep the logarithms of all probabilities, and take two more tensors of their size for the gradient; here the logits are all that is kept, and the gradient,
/// (p − label) · what arrives, may take their place.
/// </summary>
internal sealed class TokenCrossEntropy : autograd.SingleTensorFunction<TokenCrossEntropy>
{
    private const string Smoothing = "smoothing", MayOverwrite = "may_overwrite";

    public override string Name => nameof(TokenCrossEntropy);

    /// <summary>Fp32, whatever the logits are; 0 where the label is <see cref="LanguageModelLoss.Ignored"/>.</summary>
    /// <param name="logits"><c>[tokens, classes]</c>.</param>
    /// <param name="labels"><c>[tokens]</c>, as is the result.</param>
    /// <param name="smoothing">See <see cref="LanguageModelLoss.Each"/>.</param>
    /// <param name="mayOverwrite">Whether the backward pass may write over the logits: nobody else needs them by then.</param>
    public static Tensor Of(Tensor logits, Tensor labels, double smoothing, bool mayOverwrite) => BackwardPass.Apply(() => apply(logits, labels, smoothing, mayOverwrite));

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (logits, labels, smoothing) = ((Tensor)vars[0], (Tensor)vars[1], (double)vars[2]);
        ctx.save_for_backward([logits, labels]);
        ctx.save_data(Smoothing, smoothing);
        ctx.save_data(MayOverwrite, (bool)vars[3]);
        ctx.set_materialize_grads(false);
        using var scope = NewDisposeScope();
        var ignored = labels.eq(LanguageModelLoss.Ignored);
        var logs = functional.log_softmax(logits.to(ScalarType.Float32), -1);
        var losses = logs.gather(1, Classes(labels, ignored)).squeeze(1).mul_(smoothing - 1);
        if (smoothing > 0)
            losses.sub_(logs.mean([-1]).mul_(smoothing));
        return losses.masked_fill_(ignored, 0).MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => BackwardPass.Gradients(inputs: 4, grad_output, () =>
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var saved = ctx.get_saved_variables();
        var (logits, labels, smoothing) = (saved[0], saved[1], (double)ctx.get_data(Smoothing));
        var ignored = labels.eq(LanguageModelLoss.Ignored);
        var gradient = functional.softmax(logits, -1, ScalarType.Float32);
        if (smoothing > 0)
            gradient.sub_(smoothing / logits.size(-1));
        gradient.scatter_add_(1, Classes(labels, ignored), full([labels.size(0), 1], smoothing - 1, ScalarType.Float32, logits.device));
        gradient.mul_(grad_output.masked_fill(ignored, 0).unsqueeze(1));
        var result = (bool)ctx.get_data(MayOverwrite) ? logits.detach().copy_(gradient) : gradient.to(logits.dtype);
        return [result.MoveToOuterDisposeScope(), null!, null!, null!];
    });

    /// <summary>Column for each row, <c>[tokens, 1]</c>; any for a label that is no class.</summary>
    private static Tensor Classes(Tensor labels, Tensor ignored) => labels.masked_fill(ignored, 0).unsqueeze(1);
}
