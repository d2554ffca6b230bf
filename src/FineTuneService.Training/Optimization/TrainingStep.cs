using FineTuneService.Training.Data;
using FineTuneService.Training.Distributed;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>One optimizer step over one or more micro-batches, of one process or of several together, equal to the step of one big batch.</summary>
/// <param name="loss">The task's: one forward pass over a batch.</param>
public sealed class TrainingStep(PretrainedModel model, Func<PretrainedModel, Batch, TaskLoss> loss, Optimizer optimizer, double maxGradNorm, Ranks? ranks = null)
{
    public const string Loss = "loss", GradNorm = "grad_norm";

    private readonly Ranks _ranks = ranks ?? Ranks.Alone;

    /// <summary>Those of the last step's micro-batches, each its share of the step's mean: scalars that have not been waited for, of the dispose scope that the step was taken in.</summary>
    public IReadOnlyList<Tensor> Losses { get; private set; } = [];

    /// <returns>Means over all targets: <c>loss</c>, what the task logs besides, and <c>grad_norm</c> before clipping. Scalars that have not been waited for.</returns>
    public IReadOnlyDictionary<string, Tensor> Run(IReadOnlyList<Batch> microBatches, double learningRate)
    {
        var means = Accumulate(microBatches);
        if (_ranks.Count > 1)
            _ranks.AddUp([.. optimizer.Gradients(), .. from mean in means orderby mean.Key select mean.Value]);
        means[GradNorm] = optimizer.Step(learningRate, maxGradNorm);
        return means;
    }

    /// <summary>Forward and backward only: leaves this process's share of the mean loss's gradients in the parameters.</summary>
    public Dictionary<string, Tensor> Accumulate(IReadOnlyList<Batch> microBatches)
    {
        var targets = _ranks.AddUp(microBatches.Sum(batch => batch.Targets))[0];
        var scale = optimizer.Scale?.Value ?? 1;
        var means = new Dictionary<string, Tensor>();
        var losses = new List<Tensor>();
        foreach (var batch in microBatches)
        {
            using var scope = NewDisposeScope();
            var sums = loss(model, batch with { LossFactor = batch.IsIdle ? 0 : scale / targets });
            var mean = Share(sums.Sum);
            (scale == 1 ? mean : mean * scale).backward();
            BackwardPass.ThrowIfFailed();
            optimizer.Collect();
            losses.Add(mean.detach().MoveToOuterDisposeScope());
            Add(Loss, losses[^1].clone());
            foreach (var (name, sum) in sums.Metrics)
                Add(name, Share(sum.detach()));

            Tensor Share(Tensor sum) => batch.IsIdle ? sum * 0.0 : sum / targets;
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
