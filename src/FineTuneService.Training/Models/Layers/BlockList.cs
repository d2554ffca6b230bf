using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models.Layers;

/// <summary>A list of blocks that can be told not to keep their activations.</summary>
internal interface ICheckpointable
{
    /// <summary>Of each block only the input is kept, and the rest computed again for the gradient.</summary>
    bool GradientCheckpointing { get; set; }
}

/// <summary>The blocks of a transformer, one after the other.</summary>
public sealed class BlockList<T>(params T[] blocks) : ModuleList<T>(blocks), ICheckpointable
    where T : Module
{
    public bool GradientCheckpointing { get; set; }

    /// <param name="hidden"><c>[batch, seq, hidden]</c>, as is the result.</param>
    /// <param name="call">One block; whatever else it reads takes no gradient.</param>
    public Tensor Run(Tensor hidden, Func<T, Tensor, Tensor> call) => Run(hidden, (Tensor?)null, (block, input, _) => call(block, input));

    /// <summary>The blocks of an encoder: all but the last give the states of all tokens.</summary>
    /// <param name="hidden"><c>[batch, seq, hidden]</c> or <c>[tokens, hidden]</c>; the result is of the first form, or what the view wants of it.</param>
    internal Tensor Run(Tensor hidden, EncoderView view, Func<T, Tensor, EncoderView, Tensor> call)
    {
        var (last, ofAll) = (this[Count - 1], view.OfAll);
        var result = Run(hidden, (block, input) => call(block, input, ReferenceEquals(block, last) ? view : ofAll));
        return view.FirstOnly ? result : view.Rows(result);
    }

    /// <param name="hidden"><c>[batch, seq, hidden]</c>, as is the result.</param>
    /// <param name="shared">A tensor with a gradient that all blocks read; null: there is none.</param>
    /// <param name="call">One block: of input and <paramref name="shared"/>.</param>
    public Tensor Run(Tensor hidden, Tensor? shared, Func<T, Tensor, Tensor?, Tensor> call)
    {
        var recompute = GradientCheckpointing && is_grad_enabled();
        var result = hidden;
        foreach (var block in this)
        {
            // What nobody needs for a gradient is gone when its block is done.
            using var scope = NewDisposeScope();
            result = (recompute ? Recomputed.Of(result, shared, (input, also) => call(block, input, also)) : call(block, result, shared)).MoveToOuterDisposeScope();
        }
        return result;
    }
}
