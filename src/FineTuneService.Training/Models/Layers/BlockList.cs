using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>A list of blocks that can be told not to keep their activations.</summary>
internal interface ICheckpointable
{
    /// <summary>Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): of each block only the input is kept, and the rest computed again for the gradient.</summary>
    bool GradientCheckpointing { get; set; }
}

/// <summary>The blocks of a transformer, one after the other.</summary>
public sealed class BlockList<T>(params T[] blocks) : ModuleList<T>(blocks), ICheckpointable
    where T : Module
{
    public bool GradientCheckpointing { get; set; }

    /// <param name="hidden"><c>[batch, seq, hidden]</c>, as is the result.</param>
    /// <param name="call">One block; whatever else it reads takes no gradient.</param>
    public Tensor Run(Tensor hidden, Func<T, Tensor, Tensor> call) => Run(hidden, null, (block, input, _) => call(block, input));

    /// <param name="hidden"><c>[batch, seq, hidden]</c>, as is the result.</param>
    /// <param name="shared">A tensor with a gradient that all blocks read; null: there is none.</param>
    /// <param name="call">One block: of input and <paramref name="shared"/>.</param>
    public Tensor Run(Tensor hidden, Tensor? shared, Func<T, Tensor, Tensor?, Tensor> call)
    {
        var recompute = GradientCheckpointing && training && is_grad_enabled();
        if (recompute && !hidden.requires_grad)
            hidden = hidden.detach().requires_grad_(); // A frozen embedding: autograd passes by a function none of whose inputs wants a gradient.
        foreach (var block in this)
            hidden = recompute ? Recomputed.apply(hidden, shared!, (Func<Tensor, Tensor?, Tensor>)((input, also) => call(block, input, also))) : call(block, hidden, shared);
        return hidden;
    }
}

/// <summary>A block whose activations are computed a second time for its gradient, with the same dropout.</summary>
internal sealed class Recomputed : autograd.SingleTensorFunction<Recomputed>
{
    private const string Block = "block", Seed = "seed";

    public override string Name => nameof(Recomputed);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (input, shared, block) = ((Tensor)vars[0], (Tensor?)vars[1], (Func<Tensor, Tensor?, Tensor>)vars[2]);
        // One number from the host's generator seeds those of all devices, so that nothing has to be read back from a device.
        var seed = randint(long.MaxValue, [1], dtype: ScalarType.Int64).ToInt64();
        ctx.save_data(Block, block);
        ctx.save_data(Seed, seed);
        ctx.save_for_backward(shared is null ? [input] : [input, shared]);
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        manual_seed(seed);
        return block(input, shared).MoveToOuterDisposeScope();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        using var _ = enable_grad();
        using var scope = NewDisposeScope();
        var block = (Func<Tensor, Tensor?, Tensor>)ctx.get_data(Block);
        var kept = ctx.get_saved_variables().Select(tensor => tensor.detach().requires_grad_()).ToList();
        var (input, shared) = (kept[0], kept.ElementAtOrDefault(1));
        manual_seed((long)ctx.get_data(Seed));
        block(input, shared).backward([grad_output]);
        return [input.grad!.MoveToOuterDisposeScope(), shared?.grad?.MoveToOuterDisposeScope()!, null!];
    }
}
