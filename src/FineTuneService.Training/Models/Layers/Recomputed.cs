using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// A part of a model whose activations are not kept, but computed a second time for its gradient, with the same dropout (Chen et al. 2016, arXiv:1604.06174).
/// Weights that it reads get their gradients as usual; other tensors with a gradient are its inputs.
/// </summary>
internal sealed class Recomputed : autograd.SingleTensorFunction<Recomputed>
{
    private const string Part = "part", Seed = "seed";

    public override string Name => nameof(Recomputed);

    public static Tensor Of(Tensor input, Func<Tensor, Tensor> part) => Of(input, null, (given, _) => part(given));

    /// <param name="shared">Another input, or null.</param>
    public static Tensor Of(Tensor input, Tensor? shared, Func<Tensor, Tensor?, Tensor> part)
    {
        if (!is_grad_enabled())
            return Alone(input, shared, part);
        // What comes from frozen weights wants no gradient, and autograd passes by a function none of whose inputs does: the weights inside would get none.
        return BackwardPass.Apply(() => apply(input.requires_grad ? input : input.detach().requires_grad_(), shared!, part));
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (input, shared, part) = ((Tensor)vars[0], (Tensor?)vars[1], (Func<Tensor, Tensor?, Tensor>)vars[2]);
        // One number from the host's generator seeds those of all devices, so that nothing has to be read back from a device.
        var seed = randint(long.MaxValue, [1], dtype: ScalarType.Int64).ToInt64();
        ctx.save_data(Part, part);
        ctx.save_data(Seed, seed);
        ctx.set_materialize_grads(false);
        ctx.save_for_backward(shared is null ? [input] : [input, shared]);
        using var _ = no_grad();
        manual_seed(seed);
        return Alone(input, shared, part);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => BackwardPass.Gradients(inputs: 3, grad_output, () => Differentiate(ctx, grad_output));

    private static List<Tensor> Differentiate(autograd.AutogradContext ctx, Tensor grad_output)
    {
        using var _ = enable_grad();
        using var scope = NewDisposeScope();
        var inputs = ctx.get_saved_variables().Select(tensor => tensor.detach().requires_grad_()).ToList();
        var (input, shared) = (inputs[0], inputs.ElementAtOrDefault(1));
        manual_seed((long)ctx.get_data(Seed));
        ((Func<Tensor, Tensor?, Tensor>)ctx.get_data(Part))(input, shared).backward([grad_output]);
        return [input.grad!.MoveToOuterDisposeScope(), shared?.grad?.MoveToOuterDisposeScope()!, null!];
    }

    /// <summary>What it computes on the way is gone when it is done.</summary>
    private static Tensor Alone(Tensor input, Tensor? shared, Func<Tensor, Tensor?, Tensor> part)
    {
        using var scope = NewDisposeScope();
        return part(input, shared).MoveToOuterDisposeScope();
    }
}
