using FineTuneService.Contracts;

namespace FineTuneService.Training.Tests;

public sealed class StepPlanTests
{
    private static readonly TrainingArguments Arguments = new() { PerDeviceTrainBatchSize = 8, NumTrainEpochs = 3 };

    [Theory]
    [InlineData(80, 1, false, 10, 30)]
    [InlineData(81, 1, false, 11, 33)]
    [InlineData(81, 1, true, 10, 30)]
    [InlineData(81, 4, false, 3, 9)]
    [InlineData(3, 1, true, 1, 3)]
    public void Steps_are_counted_as_transformers_does(int rows, int accumulation, bool dropLast, int perEpoch, int total)
    {
        var plan = new StepPlan(Arguments with { GradientAccumulationSteps = accumulation, DataloaderDropLast = dropLast }, rows);

        Assert.Equal((perEpoch, total), (plan.StepsPerEpoch, plan.TotalSteps));
    }

    [Fact]
    public void Max_steps_wins_over_epochs() => Assert.Equal(7, new StepPlan(Arguments with { MaxSteps = 7 }, 80).TotalSteps);

    [Fact]
    public void Fractions_are_shares_of_all_steps()
    {
        var plan = new StepPlan(Arguments with { WarmupSteps = 0.1, EvalStrategy = IntervalStrategy.Steps, EvalSteps = 0.5 }, 80);

        Assert.Equal(3, plan.WarmupSteps);
        Assert.Equal([15, 30], Enumerable.Range(1, 30).Where(plan.EvaluationIsDue));
    }

    [Fact]
    public void By_epoch_means_at_the_end_of_each_and_of_the_last_even_if_it_is_cut_short()
    {
        var plan = new StepPlan(Arguments with { NumTrainEpochs = 2.5 }, 80);

        Assert.Equal([10, 20, 25], Enumerable.Range(0, 26).Where(plan.EvaluationIsDue));
        Assert.Equal([10, 20, 25], Enumerable.Range(0, 26).Where(plan.SaveIsDue));
    }

    [Fact]
    public void The_rate_warms_up_and_decays_to_nothing()
    {
        var plan = new StepPlan(Arguments with { LearningRate = 1, WarmupSteps = 10 }, 80);

        Assert.Equal([0, 0.5, 1, 0.5, 0.05], new[] { 0, 5, 10, 20, 29 }.Select(step => Math.Round(plan.LearningRate(step), 9)));
    }

    [Fact]
    public void Cosine_is_half_way_down_in_the_middle()
    {
        var plan = new StepPlan(Arguments with { LearningRate = 1, LrSchedulerType = LearningRateSchedule.Cosine }, 80);

        Assert.Equal([1, 0.5, 0], new[] { 0, 15, 30 }.Select(step => Math.Round(plan.LearningRate(step), 9)));
    }
}
