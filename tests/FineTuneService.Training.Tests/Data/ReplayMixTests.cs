using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Data;

/// <summary>Rows of an earlier dataset among those of a new one.</summary>
public sealed class ReplayMixTests : IDisposable
{
    private static readonly string Bert = Path.Combine(AppContext.BaseDirectory, "samples", "models", "tiny-bert-en");

    private readonly LanguageFixtures _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void An_epoch_has_every_training_row_and_the_share_of_the_pool_whose_turn_it_is()
    {
        var mix = ReplayMix.Of(0.1, rows: 90 + 25, pool: 25, seed: 7);
        var epochs = Enumerable.Range(0, 5).Select(mix.OfEpoch).ToList();

        Assert.Equal((100, 10), (mix.RowsPerEpoch, mix.Drawn));
        Assert.All(epochs, rows => Assert.Equal(Enumerable.Range(0, 90), rows.Where(row => row < 90)));
        Assert.All(epochs, rows => Assert.All(rows.Chunk(10), part => Assert.Single(part, row => row >= 90))); // evenly
        Assert.All(epochs.SelectMany(rows => rows.Where(row => row >= 90)).CountBy(row => row), drawn => Assert.Equal(2, drawn.Value)); // 50 of 25
        Assert.Equal(25, epochs.SelectMany(rows => rows.Where(row => row >= 90)).Distinct().Count());
        Assert.NotEqual(epochs[0], epochs[1]);
        Assert.Equal(epochs[3], mix.OfEpoch(3));
        Assert.NotEqual(epochs[3], (mix with { Seed = 8 }).OfEpoch(3));
    }

    [Theory]
    [InlineData(0.5, 10, 10)]
    [InlineData(0.9, 10, 90)]
    [InlineData(0.001, 10, 1)]
    [InlineData(0.999999999, 1_000_000_000, int.MaxValue - 1_000_000_000)]
    public void However_small_or_large_the_share_an_epoch_can_be_counted(double fraction, int train, int drawn) => Assert.Equal(drawn, ReplayMix.DrawnBeside(train, fraction));

    [Fact]
    public void More_may_be_drawn_than_there_is()
    {
        var rows = ReplayMix.Of(0.9, rows: 10 + 4, pool: 4, seed: 1).OfEpoch(2);

        Assert.Equal(100, rows.Length);
        Assert.All(rows.Where(row => row >= 10).CountBy(row => row), drawn => Assert.InRange(drawn.Value, 22, 23)); // 90 of 4
    }

    public static TheoryData<string, TrainSamplingStrategy> Tasks => new MatrixTheoryData<string, TrainSamplingStrategy>(
        ["""{"type": "causal-lm", "packing": false}""", """{"type": "causal-lm", "packing": true}""", "\"sft\"", "\"masked-lm\"", """{"type": "masked-lm", "packing": true}""", "\"replaced-token-detection\""],
        [TrainSamplingStrategy.Random, TrainSamplingStrategy.GroupByLength, TrainSamplingStrategy.Sequential]);

    [Theory]
    [MemberData(nameof(Tasks))]
    public void Batches_hold_rows_of_both_files_and_a_run_that_goes_on_gets_the_same(string task, TrainSamplingStrategy strategy)
    {
        var arguments = new TrainingArguments { MaxLength = 24, PerDeviceTrainBatchSize = 3, NumTrainEpochs = 3, TrainSamplingStrategy = strategy };
        var (config, tokenizer) = ConfigOf(task);
        var loaded = config.Load(Data(new() { Dataset = Rows("old", 12), Fraction = 0.25 }), arguments, tokenizer);
        var (all, mix) = (loaded.Train, loaded.Train.Replay!);
        var plan = new StepPlan(arguments, all.RowsPerEpoch);

        Assert.Equal(all.Count, mix.TrainRows + mix.Pool);
        Assert.Equal(0.25, (double)mix.Drawn / all.RowsPerEpoch, 0.05);
        var steps = Steps(0);
        Assert.Equal(plan.TotalSteps, steps.Length);
        Assert.Equal(steps[(plan.StepsPerEpoch + 1)..], Steps(plan.StepsPerEpoch + 1));
        var orders = Enumerable.Range(0, 2).Select(epoch => EpochOrder.Of(all, arguments, epoch)).ToList();
        Assert.All(orders, order => Assert.Equal((mix.TrainRows, mix.Drawn), (order.Count(row => row < mix.TrainRows), order.Count(row => row >= mix.TrainRows))));
        Assert.Contains(loaded.Notes, note => note.StartsWith("old.jsonl: 12 rows, 12 used", StringComparison.Ordinal));

        string[] Steps(int first) => [.. DataLoader.TrainingSteps(all, arguments, plan, first).Select(step => string.Join(' ', step.SelectMany(batch => batch.Inputs.InputIds.data<long>().ToArray())))];
    }

    [Fact]
    public void Training_and_held_out_rows_are_those_without_a_replay()
    {
        var (config, tokenizer) = ConfigOf("""{"type": "causal-lm", "packing": false}""");
        var arguments = new TrainingArguments { MaxLength = 24 };
        var data = Data(null) with { ValidationSplit = 0.2 };
        var (without, with) = (config.Load(data, arguments, tokenizer), config.Load(data with { Replay = new() { Dataset = Rows("old", 12) } }, arguments, tokenizer));

        Assert.Null(without.Train.Replay);
        Assert.Equal(without.Train.Count, with.Train.Replay!.TrainRows);
        Assert.Equal(Text(without.Train, without.Train.Count), Text(with.Train, without.Train.Count));
        Assert.Equal(Text(without.Validation!, 8), Text(with.Validation!, 8));

        static string Text(ExampleSet rows, int count) => string.Join(' ', rows.Collate([.. Enumerable.Range(0, count)]).Inputs.InputIds.data<long>().ToArray());
    }

    [Fact]
    public void A_task_that_cannot_replay_says_so_and_a_file_without_the_columns_is_named()
    {
        var faults = new FaultList();
        SpecResolver.Resolve(new() { BaseModel = "m", Task = new TextClassificationConfig(), Dataset = new() { Train = "t", Replay = new() { Dataset = "ds_old" } } }, new(), faults);
        Assert.Equal(("/dataset/replay", "ds_old"), Assert.Single(faults.All, fault => fault.Pointer.StartsWith("/dataset", StringComparison.Ordinal)) is var fault ? (fault.Pointer, fault.Value) : default);

        var (config, tokenizer) = ConfigOf("\"causal-lm\"");
        var missing = Assert.Throws<FaultException>(() => config.Load(Data(new() { Dataset = _files.Write("old.jsonl", """{"body": "x"}""") }), new() { MaxLength = 24 }, tokenizer));
        Assert.Contains("old.jsonl", Assert.Single(missing.Faults).Message, StringComparison.Ordinal);
    }

    private (TrainingTaskConfig Task, Tokenizer Tokenizer) ConfigOf(string task)
    {
        var config = (TrainingTaskConfig)JobSpecReader.Read(System.Text.Encoding.UTF8.GetBytes($$"""{"base_model": "m", "task": {{task}}, "dataset": {"train": "t"} }""")).Task;
        return (config, config.Head == ModelHead.CausalLm ? LanguageFixtures.Tokenizer : Tokenizer.Load(Bert));
    }

    private DatasetSpec Data(ReplaySpec? replay) => new() { Train = Rows("new", 40), ValidationSplit = 0, TextColumn = "text", PromptColumn = "prompt", CompletionColumn = "text", Replay = replay };

    private string Rows(string name, int count) =>
        _files.Write($"{name}.jsonl", [.. Enumerable.Range(0, count).Select(row => $$"""{"prompt": "say", "text": "{{name}} {{string.Join(' ', Enumerable.Repeat("word", row % 5))}} {{row}}"}""")]);
}
