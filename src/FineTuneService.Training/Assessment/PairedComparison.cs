using FineTuneService.Training.Data;

namespace FineTuneService.Training.Assessment;

/// <summary>One row, judged by two models.</summary>
/// <param name="Labels">The classes that it has, by their number, rising; likewise what each model says.</param>
public readonly record struct PairedRow(IReadOnlyList<int> Labels, IReadOnlyList<int> First, IReadOnlyList<int> Second)
{
    public bool FirstIsRight => Labels.SequenceEqual(First);

    public bool SecondIsRight => Labels.SequenceEqual(Second);
}

/// <param name="Difference">Of the second less the first.</param>
/// <param name="Low">Of the interval that holds the difference in 95 of 100 such samples of rows.</param>
public sealed record PairedMetric(string Name, double First, double Second, double Difference, double Low, double High);

/// <summary>
/// Two models on the same rows: how far apart they are, and whether that may be chance. McNemar's exact test looks at the rows that only one of them has right (McNemar 1947);
/// the paired bootstrap draws rows with replacement and scores both models on each sample (Efron 1979, percentile interval).
/// </summary>
public static class PairedComparison
{
    private const int MostSamples = 2000, FewestSamples = 400;

    /// <summary>Rows that all samples may have together.</summary>
    private const int MostDraws = 40_000_000;

    private const ulong Seed = 20_260_101;

    /// <summary>The probability that as many or more of the <paramref name="onlyFirst"/> + <paramref name="onlySecond"/> rows would fall to one side if a coin decided, on either side.</summary>
    public static double McNemar(int onlyFirst, int onlySecond)
    {
        var (rows, fewer) = (onlyFirst + onlySecond, Math.Min(onlyFirst, onlySecond));
        var logarithm = -rows * Math.Log(2); // Of the probability of 0, then of 1, and so on.
        var tail = Math.Exp(logarithm);
        for (var count = 1; count <= fewer; count++)
        {
            logarithm += Math.Log((double)(rows - count + 1) / count);
            tail += Math.Exp(logarithm);
        }
        return Math.Min(1, 2 * tail);
    }

    /// <summary>Differences of the accuracy (of whole rows) and of F1, averaged over the classes that a row has or a model says.</summary>
    /// <param name="classes">How many there are.</param>
    public static IReadOnlyList<PairedMetric> Metrics(IReadOnlyList<PairedRow> rows, int classes)
    {
        var (first, second) = (new Tally(classes), new Tally(classes));
        for (var row = 0; row < rows.Count; row++)
            Add(rows[row]);
        var (accuracy, f1) = ((first.Accuracy, second.Accuracy), (first.F1, second.F1));
        var samples = Math.Clamp(MostDraws / rows.Count, FewestSamples, MostSamples);
        double[] accuracies = new double[samples], f1s = new double[samples];
        var random = new SplitMix64(Seed);
        for (var sample = 0; sample < samples; sample++)
        {
            (first, second) = (new(classes), new(classes));
            for (var draw = 0; draw < rows.Count; draw++)
                Add(rows[(int)random.Below((ulong)rows.Count)]);
            (accuracies[sample], f1s[sample]) = (second.Accuracy - first.Accuracy, second.F1 - first.F1);
        }
        return [Describe("accuracy", accuracy, accuracies), Describe("f1_macro", f1, f1s)];

        void Add(PairedRow row)
        {
            first.Add(row.Labels, row.First);
            second.Add(row.Labels, row.Second);
        }
    }

    private static PairedMetric Describe(string name, (double First, double Second) metric, double[] differences)
    {
        Array.Sort(differences);
        return new(name, metric.First, metric.Second, metric.Second - metric.First, Quantile(0.025), Quantile(0.975));

        double Quantile(double share)
        {
            var at = share * (differences.Length - 1);
            var below = (int)at;
            return below + 1 == differences.Length ? differences[below] : differences[below] + ((at - below) * (differences[below + 1] - differences[below]));
        }
    }

    private sealed class Tally(int classes)
    {
        private readonly int[] _hits = new int[classes], _said = new int[classes], _true = new int[classes];
        private int _rows, _right;

        public double Accuracy => (double)_right / _rows;

        public double F1
        {
            get
            {
                var (sum, seen) = (0.0, 0);
                for (var label = 0; label < classes; label++)
                    if (_said[label] + _true[label] > 0)
                        (sum, seen) = (sum + (2.0 * _hits[label] / (_said[label] + _true[label])), seen + 1);
                return seen == 0 ? 0 : sum / seen;
            }
        }

        public void Add(IReadOnlyList<int> labels, IReadOnlyList<int> said)
        {
            var hits = 0;
            foreach (var label in labels)
                _true[label]++;
            foreach (var label in said)
            {
                _said[label]++;
                if (labels.Contains(label))
                    (_hits[label], hits) = (_hits[label] + 1, hits + 1);
            }
            (_rows, _right) = (_rows + 1, _right + (hits == labels.Count && hits == said.Count ? 1 : 0));
        }
    }
}
