using System.Text.Json;
using FineTuneService.Training.Assessment;

namespace FineTuneService.Training.Tests.Assessment;

/// <summary>Expected values: Fixtures/assessment/golden.py, by scipy's binomtest and bootstrap.</summary>
public sealed class PairedComparisonTests
{
    [Fact]
    public void McNemars_exact_test_equals_scipys()
    {
        foreach (var expected in GoldenOutputs.Read("mcnemar").EnumerateArray())
            Assert.Equal(expected[2].GetDouble(), PairedComparison.McNemar(expected[0].GetInt32(), expected[1].GetInt32()), 1e-9);
    }

    [Theory]
    [InlineData("near", false)]
    [InlineData("apart", true)]
    public void Differences_and_intervals_equal_scipys(string name, bool isDifferent)
    {
        var golden = GoldenOutputs.Read("paired", name);
        int[] Of(string property) => golden.GetProperty(property).Deserialize<int[]>()!;
        var rows = Of("truth").Zip(Of("first"), Of("second")).Select(row => new PairedRow([row.First], [row.Second], [row.Third])).ToList();

        var metrics = PairedComparison.Metrics(rows, 4);

        Assert.Equal(golden.GetProperty("only_first").GetInt32(), rows.Count(row => row.FirstIsRight && !row.SecondIsRight));
        Assert.Equal(golden.GetProperty("only_second").GetInt32(), rows.Count(row => !row.FirstIsRight && row.SecondIsRight));
        foreach (var (metric, value, interval) in new[] { (metrics[0], "accuracy", "accuracy_interval"), (metrics[1], "f1_macro", "f1_interval") })
        {
            Assert.Equal(value, metric.Name);
            Assert.Equal(golden.GetProperty(value).GetDouble(), metric.Difference, 1e-9);
            Assert.Equal(golden.GetProperty(interval)[0].GetDouble(), metric.Low, 0.01); // Of 2,000 samples.
            Assert.Equal(golden.GetProperty(interval)[1].GetDouble(), metric.High, 0.01);
            Assert.Equal(isDifferent, metric.Low > 0);
        }
    }

    [Fact]
    public void Rows_of_many_classes_are_right_as_a_whole()
    {
        PairedRow[] rows = [new([0, 2], [0, 2], [0]), new([], [], [1]), new([1], [1, 2], [1])];

        Assert.Equal([(true, false), (true, false), (false, true)], rows.Select(row => (row.FirstIsRight, row.SecondIsRight)));
        var metrics = PairedComparison.Metrics(rows, 3);
        Assert.Equal((2.0 / 3, 1.0 / 3), (metrics[0].First, metrics[0].Second));
        Assert.Equal(((1 + 1 + (2.0 / 3)) / 3, (1 + (2.0 / 3) + 0) / 3), (metrics[1].First, metrics[1].Second));
    }
}
