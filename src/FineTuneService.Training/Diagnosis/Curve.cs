namespace FineTuneService.Training.Diagnosis;

/// <summary>A metric over the steps.</summary>
public sealed record Curve(IReadOnlyList<int> Steps, IReadOnlyList<double> Values)
{
    public int Count => Values.Count;

    public double First => Values[0];

    public double Last => Values[^1];

    public int LastStep => Steps[^1];

    /// <summary>Where the least value is, the first of equals.</summary>
    public int Lowest => Values.Index().MinBy(point => point.Item).Index;

    /// <summary>The mean over steps after <paramref name="after"/> up to <paramref name="upTo"/>; null without a value there.</summary>
    public double? Mean(double after, double upTo)
    {
        var within = Values.Where((_, index) => Steps[index] > after && Steps[index] <= upTo).ToList();
        return within.Count == 0 ? null : within.Average();
    }

    /// <summary>Its values as they are once their noise is gone: the median of each and the <paramref name="each"/> before and after it.</summary>
    public Curve Median(int each) => this with { Values = [.. Values.Select((_, index) => MedianOf(Values.Skip(index - each).Take(2 * each + 1 + Math.Min(0, index - each))))] };

    public static double MedianOf(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }
}
