using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>One pass over a split without gradients and without dropout.</summary>
public static class Evaluation
{
    /// <summary>Metrics of the task; their names get <paramref name="prefix"/>, as do <c>runtime</c> and <c>samples_per_second</c>.</summary>
    /// <param name="batchDone">Called after each batch.</param>
    public static Scores Run(PretrainedModel model, TrainingTask task, ExampleSet rows, int batchSize, Device device, string prefix, TimeProvider clock, Action? batchDone = null)
    {
        var started = clock.GetTimestamp();
        var scorer = task.CreateScorer();
        var order = new List<int>(rows.Count);
        var wasTraining = model.training;
        model.eval();
        try
        {
            using var _ = inference_mode();
            foreach (var (chosen, batch) in DataLoader.ByLength(rows, batchSize))
            {
                using var scope = NewDisposeScope();
                order.AddRange(chosen);
                using (batch)
                {
                    scorer.Add(model, batch.To(device));
                }
                HostMemory.Collect();
                batchDone?.Invoke();
            }
        }
        finally
        {
            model.train(wasTraining);
        }
        var scores = scorer.Compute();
        var seconds = clock.GetElapsedTime(started).TotalSeconds;
        var metrics = scores.Metrics.ToDictionary(metric => prefix + metric.Key, metric => metric.Value);
        metrics[prefix + "runtime"] = seconds;
        metrics[prefix + "samples_per_second"] = rows.Count / Math.Max(seconds, 1e-9);
        return scores with { Metrics = metrics, Outputs = scores.Outputs?.Sorted(order, rows.LineOf) };
    }
}
