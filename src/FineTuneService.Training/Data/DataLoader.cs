using System.Collections.Concurrent;
using FineTuneService.Contracts;
using FineTuneService.Training.Distributed;

namespace FineTuneService.Training.Data;

/// <summary>Batches of one split, collated by a background task while the model computes.</summary>
public static class DataLoader
{
    private const int Prefetched = 4;

    /// <summary>The micro-batches of each optimizer step from <paramref name="firstStep"/> to the end of the plan, over all epochs; of several processes' each gets its share.</summary>
    public static IEnumerable<IReadOnlyList<Batch>> TrainingSteps(ExampleSet rows, TrainingArguments arguments, StepPlan plan, int firstStep, Ranks? ranks = null) =>
        Prefetch(StepRows(rows, arguments, plan, firstStep).Select(step => Share(rows, step.Epoch, [.. step.Rows], ranks ?? Ranks.Alone)));

    /// <summary>Every row once, rows of like length together, the longest first; with each batch its rows.</summary>
    public static IEnumerable<(int[] Rows, Batch Batch)> ByLength(ExampleSet rows, int batchSize) =>
        Prefetch(EpochOrder.ByLength(rows).Chunk(batchSize).Select(batch => (batch, rows.Collate(batch))));

    /// <summary>Which rows the micro-batches of one step hold, those of this process.</summary>
    /// <param name="step">Steps done before it.</param>
    public static IReadOnlyList<int[]> RowsOf(ExampleSet rows, TrainingArguments arguments, StepPlan plan, int step, Ranks ranks) =>
        [.. StepRows(rows, arguments, plan, step).First().Rows.Where((_, index) => index % ranks.Count == ranks.Rank)];

    private static IEnumerable<(int Epoch, IEnumerable<int[]> Rows)> StepRows(ExampleSet rows, TrainingArguments arguments, StepPlan plan, int firstStep)
    {
        int batch = arguments.PerDeviceTrainBatchSize.Resolved, accumulation = arguments.GradientAccumulationSteps;
        var epoch = -1;
        int[] order = [];
        for (var step = firstStep; step < plan.TotalSteps; step++)
        {
            if (step / plan.StepsPerEpoch != epoch)
                order = EpochOrder.Of(rows, arguments, epoch = step / plan.StepsPerEpoch);
            var first = step % plan.StepsPerEpoch * accumulation;
            var last = Math.Min(first + accumulation, plan.BatchesPerEpoch);
            var ofThisEpoch = order;
            yield return (epoch, Enumerable.Range(first, last - first).SelectMany(index => ofThisEpoch.Skip(index * batch).Take(batch).Chunk(plan.MicroBatchSize)));
        }
    }

    private static Batch[] Share(ExampleSet rows, int epoch, int[][] batches, Ranks ranks)
    {
        Batch[] own = [.. batches.Where((_, index) => index % ranks.Count == ranks.Rank).Select(batch => rows.Collate(batch, epoch))];
        return own.Length > 0 ? own : [rows.Collate(batches[0], epoch) with { Rows = 0, Tokens = 0, Targets = 0, IsIdle = true }];
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
