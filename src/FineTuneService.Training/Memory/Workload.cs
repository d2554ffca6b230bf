using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Memory;

/// <summary>What is known of the data when a forecast is made; where the lengths are not, every row counts as one of <c>max_length</c> tokens.</summary>
/// <param name="TrainRows">Rows, or pairs of answers.</param>
public sealed record Workload(long TrainRows)
{
    /// <summary>Rows of the largest split that is evaluated; null: there may be as many as an evaluation takes at once.</summary>
    public long? EvaluatedRows { get; init; }

    /// <summary>Tokens of the longest training row.</summary>
    public long? LongestRow { get; init; }

    /// <summary>Mean and standard deviation of the training rows' tokens.</summary>
    public (double Mean, double Deviation)? Lengths { get; init; }

    /// <summary>Tokens of the longest row that is evaluated.</summary>
    public long? LongestEvaluated { get; init; }

    /// <summary>Tokens of the first training row, which checkpoints are tried with.</summary>
    public long? FirstRow { get; init; }

    /// <summary>Whether rows differ in length, or hold several texts: attention then reads a mask.</summary>
    public bool IsMasked { get; init; } = true;

    /// <summary>Rows that go through the model at once, where a run has lowered them.</summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>Classes of a judging head; null: as config.json says.</summary>
    public int? Labels { get; init; }

    /// <summary>Whether the tensors lie on the host.</summary>
    public bool IsOnHost { get; init; } = true;

    /// <summary>Whether the base model's files have a parameter of that name; null: all that the task does not bring anew.</summary>
    public Func<string, bool>? IsStored { get; init; }

    /// <summary>What the rows themselves tell.</summary>
    /// <param name="newKeys">Parameters that the base model lacks.</param>
    internal static Workload Of(TrainingTask task, PretrainedConfig config, IReadOnlyCollection<string> newKeys)
    {
        var evaluated = new[] { task.Validation, task.Test }.OfType<ExampleSet>().ToList();
        var (longest, shortest, mean) = (LengthsOf(task.Train).Max(), LengthsOf(task.Train).Min(), LengthsOf(task.Train).Average());
        return new(task.Train.RowsPerEpoch)
        {
            EvaluatedRows = evaluated.Select(rows => (long?)rows.Count).Max(),
            LongestRow = longest,
            Lengths = (mean, Math.Sqrt(LengthsOf(task.Train).Average(length => (length - mean) * (length - mean)))),
            LongestEvaluated = evaluated.SelectMany(LengthsOf).Max(length => (long?)length),
            FirstRow = task.Train.Length(0),
            IsMasked = longest != shortest || Enumerable.Range(0, task.Train.Count).Any(task.Train.IsPacked),
            Labels = config.LabelsById?.Count,
            IsStored = name => !newKeys.Contains(name),
        };

        static IEnumerable<long> LengthsOf(ExampleSet rows) => Enumerable.Range(0, rows.Count).Select(row => (long)rows.Length(row));
    }

    /// <summary>What a profile of the training file tells.</summary>
    /// <param name="spec">Resolved.</param>
    /// <param name="evaluatedRows">Of the larger file that is evaluated; 0: there is none.</param>
    /// <param name="stored">Names of the tensors in the base model's files; null: they are not read.</param>
    public static Workload Of(JobSpec spec, DatasetProfile train, long evaluatedRows, IEnumerable<string>? stored)
    {
        var heldOut = spec.Dataset.Validation is null ? (long)Math.Ceiling(train.Rows * spec.Dataset.ValidationSplit) : 0;
        var names = stored?.ToHashSet();
        var isJudged = ((TrainingTaskConfig)spec.Task).Head == ModelHead.SequenceClassification;
        return new(Math.Max(1, train.Rows - heldOut))
        {
            EvaluatedRows = Math.Max(1, Math.Max(heldOut, evaluatedRows)),
            Labels = isJudged && train.Columns.FirstOrDefault(column => column.Name == spec.Dataset.LabelColumn) is { DistinctIsMore: false, Distinct: > 1 and var classes } ? classes : null,
            IsStored = names is null ? null : names.Contains,
        };
    }

    /// <summary>Tokens of the fullest of so many random batches, by the expectation of the largest of normal numbers; null: the lengths are not known.</summary>
    /// <param name="longest">Tokens of a row at most.</param>
    internal long? FullestBatch(long rows, long longest, double batches) => Lengths is not var (mean, deviation) ? null
        : (long)Math.Min(rows * longest, rows * Math.Min(mean, longest) + deviation * Math.Sqrt(2 * Math.Log(Math.Max(2, batches)) * rows));

    /// <summary>Rows of a model's batch, where a row of the data may be several.</summary>
    internal static long RowsOf(TaskConfig task, long rows) => task is DpoConfig ? 2 * rows : rows;
}
