using FineTuneService.Contracts;

namespace FineTuneService.Training.Assessment;

/// <summary>Whether probabilities are what happens: the expected calibration error (Naeini et al. 2015) and the diagram behind it.</summary>
public static class Reliability
{
    public const int Bins = 15;

    public static CalibrationQuality Of(ClassifierOutputs outputs, double temperature)
    {
        var told = new List<(double Confidence, bool IsSo)>();
        var brier = 0.0;
        for (var row = 0; row < outputs.Rows; row++)
        {
            var probabilities = outputs.Probabilities(row, temperature);
            var truth = outputs.True(row);
            brier += probabilities.Select((probability, label) => Math.Pow(probability - (truth.Contains(label) ? 1 : 0), 2)).Sum();
            if (outputs.IsSingleLabel)
                told.Add((probabilities[outputs.Predicted(row)[0]], outputs.IsRight(row)));
            else
                told.AddRange(probabilities.Select((probability, label) => (probability, truth.Contains(label))));
        }
        var (width, mass) = (EqualWidth(told), EqualMass(told));
        return new(TemperatureScaling.NegativeLogLikelihood(outputs, temperature), brier / outputs.Rows, ErrorOf(width), ErrorOf(mass), width, mass);
    }

    /// <summary>Bins (i/15, (i+1)/15], without the empty ones.</summary>
    private static List<ReliabilityBin> EqualWidth(List<(double Confidence, bool IsSo)> told) =>
        [.. told.GroupBy(one => Math.Clamp((int)Math.Ceiling(one.Confidence * Bins) - 1, 0, Bins - 1)).OrderBy(bin => bin.Key).Select(bin => Describe([.. bin]))];

    /// <summary>The first bins have one more where they do not come out even, as in numpy's <c>array_split</c>.</summary>
    private static List<ReliabilityBin> EqualMass(List<(double Confidence, bool IsSo)> told)
    {
        (double, bool)[] sorted = [.. told.OrderBy(one => one.Confidence)];
        var bins = Math.Min(Bins, sorted.Length);
        var (size, more) = bins == 0 ? (0, 0) : (sorted.Length / bins, sorted.Length % bins);
        return [.. Enumerable.Range(0, bins).Select(bin => Describe(sorted.AsSpan((bin * size) + Math.Min(bin, more), size + (bin < more ? 1 : 0)).ToArray()))];
    }

    private static ReliabilityBin Describe((double Confidence, bool IsSo)[] told) =>
        new(told.Length, told.Average(one => one.Confidence), (double)told.Count(one => one.IsSo) / told.Length);

    private static double ErrorOf(List<ReliabilityBin> bins) => bins.Sum(bin => bin.Count * Math.Abs(bin.Confidence - bin.Accuracy)) / bins.Sum(bin => bin.Count);
}
