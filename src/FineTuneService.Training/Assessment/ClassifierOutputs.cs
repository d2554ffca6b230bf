using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Assessment;

/// <summary>What a classifier says of every row of a split, beside what is so.</summary>
/// <param name="Labels">Class names in the order of the logits.</param>
/// <param name="Logits">A row each: one number a class.</param>
/// <param name="Targets">A row each: the class's number; of many labels 0 or 1 a class.</param>
public sealed record ClassifierOutputs(ProblemType ProblemType, IReadOnlyList<string> Labels, IReadOnlyList<float[]> Logits, IReadOnlyList<float[]> Targets)
{
    /// <summary>Where each row begins in its file; empty: nobody knows.</summary>
    public IReadOnlyList<long?> Lines { get; init; } = [];

    public int Rows => Logits.Count;

    /// <summary>Whether all logits are numbers.</summary>
    public bool IsFinite => Logits.All(row => row.All(float.IsFinite));

    public bool IsSingleLabel => ProblemType == ProblemType.SingleLabelClassification;

    /// <summary>The rows in the order of their numbers.</summary>
    /// <param name="rows">The number of each row here.</param>
    /// <param name="line">Of a row by its number.</param>
    public ClassifierOutputs Sorted(IReadOnlyList<int> rows, Func<int, long?> line)
    {
        int[] order = [.. Enumerable.Range(0, Rows).OrderBy(at => rows[at])];
        return this with { Logits = [.. order.Select(at => Logits[at])], Targets = [.. order.Select(at => Targets[at])], Lines = [.. order.Select(at => line(rows[at]))] };
    }

    public long? LineOf(int row) => Lines.Count == 0 ? null : Lines[row];

    /// <summary>The classes that a row has.</summary>
    public IReadOnlyList<int> True(int row) => IsSingleLabel ? [(int)Targets[row][0]] : Chosen(Targets[row], 0.5f);

    /// <summary>The classes that a row is told to have; no temperature changes them.</summary>
    public IReadOnlyList<int> Predicted(int row) => IsSingleLabel ? [Array.IndexOf(Logits[row], Logits[row].Max())] : Chosen(Logits[row], 0);

    public bool IsRight(int row) => True(row).SequenceEqual(Predicted(row));

    /// <summary>Probability of each class: they sum to 1, or each is of its own.</summary>
    public double[] Probabilities(int row, double temperature)
    {
        var logits = Logits[row];
        if (!IsSingleLabel)
            return [.. logits.Select(logit => 1 / (1 + Math.Exp(-logit / temperature)))];
        double highest = logits.Max();
        double[] powers = [.. logits.Select(logit => Math.Exp((logit - highest) / temperature))];
        var sum = powers.Sum();
        return [.. powers.Select(power => power / sum)];
    }

    private static int[] Chosen(float[] values, float from) => [.. values.Index().Where(value => value.Item >= from).Select(value => value.Index)];
}
