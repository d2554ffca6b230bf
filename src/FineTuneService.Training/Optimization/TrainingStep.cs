using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>One optimizer step over one or more micro-batches, equal to the step of one big batch.</summary>
/// <param name="loss">The task's: one forward pass over a batch.</param>
public sealed class TrainingStep(PretrainedModel model, Func<PretrainedModel, Batch, TaskLoss> loss, AdamW optimizer, double maxGradNorm)
{
    public const string Loss = "loss", GradNorm = "grad_norm";

    /// <summary>Those of the last step's micro-batches, each its share of the step's mean: scalars that have not been waited for, of the dispose scope that the step was taken in.</summary>
    public IReadOnlyList<Tensor> Losses { get; private set; } = [];

    /// <returns>Means over all targets: <c>loss</c>, what the task logs besides, and <c>grad_norm</c> before clipping. Scalars that have not been waited for.</returns>
    public IReadOnlyDictionary<string, Tensor> Run(IReadOnlyList<Batch> microBatches, double learningRate)
    {
        var means = Accumulate(microBatches);
        means[GradNorm] = optimizer.Step(learningRate, maxGradNorm);
        return means;
    }

    /// <summary>Forward and backward only: leaves the gradients of the mean loss in the parameters.</summary>
    public Dictionary<string, Tensor> Accumulate(IReadOnlyList<Batch> microBatches)
    {
        var targets = microBatches.Sum(batch => batch.Targets);
        var means = new Dictionary<string, Tensor>();
        var losses = new List<Tensor>();
        foreach (var batch in microBatches)
        {
            using var scope = NewDisposeScope();
            var sums = loss(model, batch);
            var mean = sums.Sum / targets;
            mean.backward();
            Recomputed.ThrowIfFailed();
            optimizer.Collect();
            losses.Add(mean.detach().MoveToOuterDisposeScope());
            Add(Loss, losses[^1].clone());
            foreach (var (name, sum) in sums.Metrics)
                Add(name, sum.detach() / targets);
        }
        Losses = losses;
        return means;

        void Add(string name, Tensor share)
        {
            if (means.TryGetValue(name, out var total))
                total.add_(share);
            else
                means[name] = share.MoveToOuterDisposeScope();
        }
    }
}
