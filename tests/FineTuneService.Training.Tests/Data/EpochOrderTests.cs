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

    [Fact]
    public void Sequential_sampling_keeps_the_files_order() =>
        Assert.Equal([0, 1, 2, 3], EpochOrder.Of(4, TrainSamplingStrategy.Sequential, 42, 7));
}
