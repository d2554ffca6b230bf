using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>The loss and what is logged with it, as means over all targets of a split.</summary>
internal class MeanScorer(Func<PretrainedModel, Batch, TaskLoss> loss) : Scorer
{
    private readonly Dictionary<string, double> _sums = [];
    private double _targets;

    public override void Add(PretrainedModel model, Batch batch)
    {
        var sums = loss(model, batch);
        Add("loss", sums.Sum);
        foreach (var (name, sum) in sums.Metrics)
            Add(name, sum);
        _targets += batch.Targets;
    }

    public override Scores Compute() => new(_sums.ToDictionary(sum => sum.Key, sum => sum.Value / _targets));

    private void Add(string name, Tensor sum) => _sums[name] = _sums.GetValueOrDefault(name) + sum.to(ScalarType.Float64).ToDouble();
}
