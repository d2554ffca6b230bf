using FineTuneService.Contracts;

namespace FineTuneService.Training.Assessment;

/// <summary>How each class does by itself.</summary>
public static class ClassTable
{
    public static IReadOnlyList<ClassQuality> Of(ClassifierOutputs outputs, double temperature)
    {
        var classes = outputs.Labels.Count;
        int[] hits = new int[classes], predicted = new int[classes], actual = new int[classes];
        var probabilities = new double[outputs.Rows][];
        for (var row = 0; row < outputs.Rows; row++)
        {
            var truth = outputs.True(row);
            foreach (var label in truth)
                actual[label]++;
            foreach (var label in outputs.Predicted(row))
            {
                predicted[label]++;
                hits[label] += truth.Contains(label) ? 1 : 0;
            }
            probabilities[row] = outputs.Probabilities(row, temperature);
        }
        return [.. outputs.Labels.Select((name, label) =>
        {
            var best = BestThreshold([.. Enumerable.Range(0, outputs.Rows).Select(row => (probabilities[row][label], outputs.True(row).Contains(label)))]);
            return new ClassQuality(name, actual[label], predicted[label], Ratio(hits[label], predicted[label]), Ratio(hits[label], actual[label]), Ratio(2 * hits[label], predicted[label] + actual[label]), best?.Threshold, best?.F1);
        })];
    }

    /// <summary>From which probability on F1 is highest; of equals the highest. Null where no row is of the class.</summary>
    private static (double Threshold, double F1)? BestThreshold((double Probability, bool IsSo)[] told)
    {
        var actual = told.Count(one => one.IsSo);
        if (actual == 0)
            return null;
        Array.Sort(told, (a, b) => b.Probability.CompareTo(a.Probability));
        var (hits, best) = (0, (Threshold: 1.0, F1: -1.0));
        for (var at = 0; at < told.Length; at++)
        {
            hits += told[at].IsSo ? 1 : 0;
            if (at + 1 < told.Length && told[at + 1].Probability == told[at].Probability)
                continue;
            var f1 = Ratio(2 * hits, at + 1 + actual);
            if (f1 > best.F1)
                best = (told[at].Probability, f1);
        }
        return best;
    }

    private static double Ratio(double part, double whole) => whole == 0 ? 0 : part / whole;
}
