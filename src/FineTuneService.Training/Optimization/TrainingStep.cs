using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>One optimizer step over one or more micro-batches, equal to the step of one big batch.</summary>
/// <param name="lossSum">The task's loss, summed over a batch's targets.</param>
public sealed class TrainingStep(PretrainedModel model, Func<Tensor, Batch, Tensor> lossSum, AdamW optimizer, double maxGradNorm)
{
    /// <returns>Mean loss over all targets, and gradient norm before clipping: scalars that have not been waited for.</returns>
    public (Tensor Loss, Tensor GradNorm) Run(IReadOnlyList<Batch> microBatches, double learningRate)
    {
        var loss = Accumulate(microBatches);
        return (loss, optimizer.Step(learningRate, maxGradNorm));
    }

    /// <summary>Forward and backward only: leaves the gradients of the mean loss in the parameters.</summary>
    public Tensor Accumulate(IReadOnlyList<Batch> microBatches)
    {
        var targets = microBatches.Sum(batch => batch.Targets);
        var total = zeros([], device: microBatches[0].Labels.device);
        foreach (var batch in microBatches)
        {
            using var scope = NewDisposeScope();
            using var loss = lossSum(model.call(batch.Inputs), batch) / targets;
            loss.backward();
            total.add_(loss.detach());
        }
        return total;
    }
}
