using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>A step whose numbers are none.</summary>
/// <param name="Step">From 1.</param>
/// <param name="MicroBatch">The first one whose loss is no number, from 0; null: every loss is one, the norm of their gradients is not.</param>
public sealed record Divergence(int Step, int? MicroBatch);

/// <summary>
/// Whether the losses and gradient norms of all steps are finite. A GPU is not waited for after every step: what it finds stays there until somebody asks.
/// Until then nothing is spoilt, because the optimizer leaves out a step whose norm is not finite.
/// </summary>
internal sealed class FiniteWatch
{
    private readonly List<(int Step, Tensor Finite)> _steps = [];

    /// <param name="losses">Those of its micro-batches: scalars.</param>
    /// <param name="gradNorm">A scalar.</param>
    public void Add(int step, IEnumerable<Tensor> losses, Tensor gradNorm)
    {
        using var scope = NewDisposeScope();
        _steps.Add((step, stack([.. losses.Append(gradNorm).Select(value => value.to(ScalarType.Float32))]).isfinite().DetachFromDisposeScope())); // [micro-batches + 1]
    }

    /// <summary>Waits for the device.</summary>
    /// <returns>The first step that has diverged since this was asked last.</returns>
    public Divergence? Read()
    {
        if (_steps.Count == 0)
            return null;
        using var scope = NewDisposeScope();
        var all = cat([.. _steps.Select(step => step.Finite)]).cpu().data<bool>().ToArray();
        Divergence? found = null;
        var at = 0;
        foreach (var (step, finite) in _steps)
        {
            var count = (int)finite.numel();
            var first = Array.IndexOf(all, false, at, count);
            if (first >= 0)
                found ??= new(step, first == at + count - 1 ? null : first - at);
            at += count;
            finite.Dispose();
        }
        _steps.Clear();
        return found;
    }
}
