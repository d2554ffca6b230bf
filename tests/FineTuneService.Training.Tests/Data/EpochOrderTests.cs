using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.Tests.Data;

public sealed class EpochOrderTests
{
    [Fact]
    public void Every_row_comes_once_in_each_epoch() =>
        Assert.Equal(Enumerable.Range(0, 1000), EpochOrder.Of(1000, TrainSamplingStrategy.Random, 42, 3).Order());

    [Fact]
    public void Seed_and_epoch_decide_the_order()
    {
        var order = EpochOrder.Of(100, TrainSamplingStrategy.Random, 42, 0);

        Assert.Equal(order, EpochOrder.Of(100, TrainSamplingStrategy.Random, 42, 0));
        Assert.NotEqual(order, EpochOrder.Of(100, TrainSamplingStrategy.Random, 42, 1));
        Assert.NotEqual(order, EpochOrder.Of(100, TrainSamplingStrategy.Random, 43, 0));
    }

    /// <summary>A checkpoint made on one machine must resume on another: the numbers may never change.</summary>
    [Fact]
    public void The_order_is_the_same_on_every_machine() =>
        Assert.Equal([2, 3, 1, 6, 5, 4, 7, 0], EpochOrder.Of(8, TrainSamplingStrategy.Random, 42, 0));

    /// <summary>get_length_grouped_indices of transformers 5.12.1, with torch.randperm giving our own random order.</summary>
    [Fact]
    public void Rows_of_like_length_stand_together_as_transformers_puts_them()
    {
        static int[] Lengths(int count) => [.. Enumerable.Range(0, count).Select(row => 3 + row * 7919 % 11)];

        Assert.Equal([23, 13, 24, 25, 8, 10, 12, 4, 9, 21, 0, 11, 1, 2, 14, 15, 5, 18, 3, 17, 7, 19, 20, 22, 16, 6], EpochOrder.GroupedByLength(Lengths(26), batch: 2, seed: 42, epoch: 1));
        Assert.Equal([1, 2, 4, 0, 3], EpochOrder.GroupedByLength(Lengths(5), batch: 4, seed: 7, epoch: 0));
    }

    [Fact]
    public void Grouped_rows_come_once_in_each_epoch_and_in_another_order_in_the_next()
    {
        int[] lengths = [.. Enumerable.Range(0, 1003).Select(row => 1 + row * 37 % 101)];
        var (first, second) = (EpochOrder.GroupedByLength(lengths, 8, seed: 1, epoch: 0), EpochOrder.GroupedByLength(lengths, 8, seed: 1, epoch: 1));

        Assert.Equal(Enumerable.Range(0, lengths.Length), first.Order());
        Assert.NotEqual(first, second);
        Assert.InRange(first.Chunk(8).Sum(batch => batch.Max(row => lengths[row]) * batch.Length), lengths.Sum(), lengths.Sum() * 1.1); // random batches: 1.75
    }

    [Fact]
    public void A_run_that_goes_on_in_mid_epoch_gets_the_batches_that_the_whole_run_gets()
    {
        var data = TokenizedDataset.Build(draft => draft.Write("train", [.. Enumerable.Range(1, 50).Select(row => new StoredRow(draft.Add([.. Enumerable.Repeat(row, 1 + row * 7 % 13)], [])))]));
        var rows = new TokenSequences(data.Train, padding: 0);
        var arguments = new TrainingArguments { TrainSamplingStrategy = TrainSamplingStrategy.GroupByLength, PerDeviceTrainBatchSize = 3, GradientAccumulationSteps = 2, NumTrainEpochs = 3 };
        var plan = new StepPlan(arguments, rows.Count);

        Assert.Equal(Steps(0)[13..], Steps(13));

        string[] Steps(int first) => [.. DataLoader.TrainingSteps(rows, arguments, plan, first).Select(step => string.Join(' ', step.SelectMany(batch => batch.Inputs.InputIds.data<long>().ToArray())))];
    }

    [Fact]
    public void Sequential_sampling_keeps_the_files_order() =>
        Assert.Equal([0, 1, 2, 3], EpochOrder.Of(4, TrainSamplingStrategy.Sequential, 42, 7));
}
