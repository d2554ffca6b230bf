using System.Collections.Concurrent;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>Batches of one split, collated by a background task while the model computes.</summary>
public static class DataLoader
{
    private const int Prefetched = 4;

    /// <summary>The micro-batches of each optimizer step from <paramref name="firstStep"/> to the end of the plan, over all epochs.</summary>
    public static IEnumerable<IReadOnlyList<Batch>> TrainingSteps(ExampleSet rows, TrainingArguments arguments, StepPlan plan, int firstStep) =>
        Prefetch(StepRows(rows.Count, arguments, plan, firstStep).Select(step => (IReadOnlyList<Batch>)[.. step.Rows.Select(batch => rows.Collate(batch, step.Epoch))]));

    /// <summary>Which rows the micro-batches of one step hold.</summary>
    /// <param name="step">Steps done before it.</param>
    public static IReadOnlyList<int[]> RowsOf(ExampleSet rows, TrainingArguments arguments, StepPlan plan, int step) => [.. StepRows(rows.Count, arguments, plan, step).First().Rows];

    /// <summary>All rows in their order.</summary>
    public static IEnumerable<Batch> Sequential(ExampleSet rows, int batchSize) =>
        Prefetch(Enumerable.Range(0, rows.Count).Chunk(batchSize).Select(batch => rows.Collate(batch)));

    private static IEnumerable<(int Epoch, IEnumerable<int[]> Rows)> StepRows(int count, TrainingArguments arguments, StepPlan plan, int firstStep)
    {
        int batch = arguments.PerDeviceTrainBatchSize.Resolved, accumulation = arguments.GradientAccumulationSteps;
        var epoch = -1;
        int[] order = [];
        for (var step = firstStep; step < plan.TotalSteps; step++)
        {
            if (step / plan.StepsPerEpoch != epoch)
                order = EpochOrder.Of(count, arguments.TrainSamplingStrategy, arguments.DataSeed ?? arguments.Seed, epoch = step / plan.StepsPerEpoch);
            var first = step % plan.StepsPerEpoch * accumulation;
            var last = Math.Min(first + accumulation, plan.BatchesPerEpoch);
            var ofThisEpoch = order;
            yield return (epoch, Enumerable.Range(first, last - first).SelectMany(index => ofThisEpoch.Skip(index * batch).Take(batch).Chunk(plan.MicroBatchSize)));
        }
    }

    private static IEnumerable<T> Prefetch<T>(IEnumerable<T> source)
    {
        using var ready = new BlockingCollection<T>(Prefetched);
        using var left = new CancellationTokenSource();
        var producer = Task.Run(() =>
        {
            try
            {
                foreach (var item in source)
                    ready.Add(item, left.Token);
            }
            catch (OperationCanceledException) when (left.IsCancellationRequested)
            {
                // The consumer left early; what was collated goes with its finalizers.
            }
            finally
            {
                ready.CompleteAdding();
            }
        });
        try
        {
            foreach (var item in ready.GetConsumingEnumerable())
                yield return item;
        }
        finally
        {
            left.Cancel();
            producer.GetAwaiter().GetResult(); // A failure of collating belongs to the consumer.
        }
    }
}
