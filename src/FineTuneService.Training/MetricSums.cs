using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>Sums of the metrics of several steps, kept on the device so that no step waits for them.</summary>
internal sealed class MetricSums(IReadOnlyDictionary<string, double> saved, Device device)
{
    private readonly Dictionary<string, Tensor> _sums = saved.ToDictionary(sum => sum.Key, sum => Keep(tensor(sum.Value, dtype: ScalarType.Float64, device: device)));

    /// <summary>Adds a step's means; its gradient norm is no mean and is left out.</summary>
    public void Add(IReadOnlyDictionary<string, Tensor> means)
    {
        foreach (var (name, mean) in means.Where(mean => mean.Key != Optimization.TrainingStep.GradNorm))
        {
            if (!_sums.TryGetValue(name, out var sum))
                _sums[name] = sum = Keep(zeros([], dtype: ScalarType.Float64, device: device));
            sum.add_(mean);
        }
    }

    public Dictionary<string, double> Read() => _sums.ToDictionary(sum => sum.Key, sum => sum.Value.ToDouble());

    public void Clear()
    {
        foreach (var sum in _sums.Values)
            sum.zero_();
    }

    private static Tensor Keep(Tensor sum) => sum.DetachFromDisposeScope();
}
