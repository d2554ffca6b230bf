using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Distributed;

namespace FineTuneService.Training.Tests;

public sealed class RunAdaptationTests : IDisposable
{
    private readonly RunFolder _run = new(Directory.CreateTempSubdirectory("adaptation").FullName);

    private TrainingArguments Training { get; } = new() { PerDeviceTrainBatchSize = 7, GradientAccumulationSteps = 3, MaxLength = 64, LearningRate = 1e-3, OnDivergence = DivergencePolicy.Rollback, MaxRollbacks = 2 };

    public void Dispose() => Directory.Delete(_run.Path, recursive: true);

    [Fact]
    public void Micro_batches_are_halved_until_they_have_a_row_then_gradient_checkpointing_comes_and_then_a_fault()
    {
        foreach (var (size, parts) in new[] { (4, 6), (2, 12), (1, 21) })
        {
            Assert.Contains($"{size} rows instead of", Less(), StringComparison.Ordinal);
            Assert.Contains("the same 21 rows", RunAdaptation.Read(_run).MicroBatchSize == size ? Last : "", StringComparison.Ordinal);
            Assert.Contains($"a step {parts} micro-batches instead of", Last, StringComparison.Ordinal);
        }
        Assert.False(Applied.GradientCheckpointing);
        Assert.Contains("gradient checkpointing", Less(), StringComparison.Ordinal);
        Assert.True(Applied.GradientCheckpointing);
        Assert.Equal("/training/max_length", Assert.Single(Assert.Throws<FaultException>(Less).Faults).Pointer);
    }

    [Fact]
    public void A_micro_batch_larger_than_the_data_is_halved_from_the_data_on()
    {
        RunAdaptation.LessMemory(_run, Training with { PerDeviceTrainBatchSize = 4096 }, rows: 100, "Memory ran out", "the start");
        Assert.Equal(50, RunAdaptation.Read(_run).MicroBatchSize);
    }

    [Fact]
    public void The_learning_rate_is_halved_as_often_as_allowed()
    {
        Assert.Contains("with a learning rate of 0.0005 instead of 0.001 (1 of 2 times)", Lower(), StringComparison.Ordinal);
        Assert.Contains("with a learning rate of 0.00025 instead of 0.0005 (2 of 2 times)", Lower(), StringComparison.Ordinal);
        Assert.Equal(2.5e-4, Applied.LearningRate.Resolved);
        Assert.Throws<FaultException>(Lower);
        Assert.Throws<FaultException>(() => RunAdaptation.LowerLearningRate(_run, Training with { OnDivergence = DivergencePolicy.Fail }, "It diverged.", "the start"));
    }

    [Theory]
    [InlineData(7, 3, false, false)]
    [InlineData(8, 1, true, false)]
    [InlineData(5, 2, true, true)]
    public void Smaller_micro_batches_hold_the_same_rows_in_the_same_order(int batch, int accumulation, bool dropLast, bool byLength)
    {
        var arguments = Training with { PerDeviceTrainBatchSize = batch, GradientAccumulationSteps = accumulation, DataloaderDropLast = dropLast, TrainSamplingStrategy = byLength ? TrainSamplingStrategy.GroupByLength : TrainSamplingStrategy.Random, NumTrainEpochs = 2 };
        var rows = new Rows(53);
        var whole = new StepPlan(arguments, rows.Count);
        foreach (var size in Enumerable.Range(1, batch))
        {
            var parts = new StepPlan(arguments, rows.Count, size);
            Assert.Equal(whole.TotalSteps, parts.TotalSteps);
            for (var step = 0; step < whole.TotalSteps; step++)
            {
                var inParts = DataLoader.RowsOf(rows, arguments, parts, step, Ranks.Alone);
                Assert.Equal(DataLoader.RowsOf(rows, arguments, whole, step, Ranks.Alone).SelectMany(row => row), inParts.SelectMany(row => row));
                Assert.All(inParts, part => Assert.InRange(part.Length, 1, size));
            }
        }
    }

    private string Last { get; set; } = "";

    private TrainingArguments Applied => RunAdaptation.Read(_run).Apply(Training);

    private string Less() => Last = RunAdaptation.LessMemory(_run, Applied, rows: 100, "Memory ran out", "the start").Message;

    private string Lower() => RunAdaptation.LowerLearningRate(_run, Applied, "It diverged.", "checkpoint-4").Message;

    private sealed class Rows(int count) : ExampleSet
    {
        public override int Count => count;

        public override int Length(int row) => row * 7919 % 31;

        public override Batch Collate(ReadOnlySpan<int> rows) => throw new NotSupportedException();
    }
}
