using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Assessment;

/// <summary>Expected values: Fixtures/assessment/golden.py, by numpy, scipy and scikit-learn.</summary>
public sealed class ClassifierAssessmentTests
{
    private const double Tolerance = 1e-5; // Of logits in fp32.

    [Theory]
    [InlineData("single", "too_sure", ProblemType.SingleLabelClassification)]
    [InlineData("single", "too_doubtful", ProblemType.SingleLabelClassification)]
    [InlineData("single", "two_classes", ProblemType.SingleLabelClassification)]
    [InlineData("multi", "too_sure", ProblemType.MultiLabelClassification)]
    public void Temperature_and_calibration_equal_the_references(string kind, string name, ProblemType problem)
    {
        var golden = GoldenOutputs.Read(kind, name);
        var report = new ClassifierAssessment(GoldenOutputs.Outputs(golden, problem)).Report;

        Assert.Equal(golden.GetProperty("temperature").GetDouble(), report.Temperature, Tolerance);
        foreach (var (expected, quality) in new[] { (golden.GetProperty("uncalibrated"), report.Uncalibrated), (golden.GetProperty("calibrated"), report.Calibrated) })
        {
            Assert.Equal(expected.GetProperty("nll").GetDouble(), quality.Nll, Tolerance);
            Assert.Equal(expected.GetProperty("brier").GetDouble(), quality.Brier, Tolerance);
            Assert.Equal(expected.GetProperty("ece").GetDouble(), quality.Ece, Tolerance);
            Assert.Equal(expected.GetProperty("ece_equal_mass").GetDouble(), quality.EceEqualMass, Tolerance);
            Assert.Equal(expected.GetProperty("counts").Deserialize<int[]>()!, quality.EqualWidth.Select(bin => bin.Count));
        }
        foreach (var (expected, quality) in golden.GetProperty("thresholds").Deserialize<double[][]>()!.Zip(report.Classes))
        {
            Assert.Equal(expected[0], quality.Threshold!.Value, Tolerance);
            Assert.Equal(expected[1], quality.F1AtThreshold!.Value, Tolerance);
        }
    }

    [Theory]
    [InlineData("too_sure")]
    [InlineData("two_classes")]
    public void Classes_and_abstaining_equal_the_references(string name)
    {
        var golden = GoldenOutputs.Read("single", name);
        var outputs = GoldenOutputs.Single(name);
        var report = new ClassifierAssessment(outputs).Report;

        Assert.Equal(golden.GetProperty("support").Deserialize<int[]>()!, report.Classes.Select(quality => quality.Rows));
        foreach (var (property, of) in new (string, Func<ClassQuality, double>)[] { ("precision", quality => quality.Precision), ("recall", quality => quality.Recall), ("f1", quality => quality.F1) })
            foreach (var (expected, actual) in golden.GetProperty(property).Deserialize<double[]>()!.Zip(report.Classes.Select(of)))
                Assert.Equal(expected, actual, Tolerance);
        foreach (var point in golden.GetProperty("abstain").Deserialize<double[][]>()!)
        {
            var nearest = report.AbstainCurve.MinBy(mine => Math.Abs(mine.Coverage - point[1]))!;
            Assert.Equal(point[1], nearest.Coverage, 0.011); // The curve has a hundred points.
            Assert.Equal(point[2], nearest.Accuracy, 0.03);
        }
        Assert.Equal((1.0, report.Accuracy), (report.AbstainCurve[0].Coverage, report.AbstainCurve[0].Accuracy));
        Assert.Equal(golden.GetProperty("surest_mistake").GetInt32() + 2, report.ConfidentMistakes[0].Line);
        Assert.Equal(report.ConfusionMatrix!.Select((row, label) => row.Where((_, column) => column != label).Sum()).Sum(), report.Confusions.Sum(confusion => confusion.Count));
        Assert.Equal(outputs.Rows, report.ConfusionMatrix!.Sum(row => row.Sum()));
    }

    [Fact]
    public void A_temperature_never_raises_the_loss_and_is_left_where_no_row_says_how_sure_to_be()
    {
        var outputs = GoldenOutputs.Single("too_sure");
        Assert.True(TemperatureScaling.NegativeLogLikelihood(outputs, TemperatureScaling.Fit(outputs)) < TemperatureScaling.NegativeLogLikelihood(outputs, 1));
        foreach (var factor in new[] { 0.999, 1.001 })
            Assert.True(TemperatureScaling.NegativeLogLikelihood(outputs, TemperatureScaling.Fit(outputs) * factor) > TemperatureScaling.NegativeLogLikelihood(outputs, TemperatureScaling.Fit(outputs)));

        float[][] logits = [[2, -1], [0, 1], [3, 1]];
        ClassifierOutputs Of(params float[] targets) => new(ProblemType.SingleLabelClassification, ["a", "b"], logits, [.. targets.Select(target => new[] { target })]);
        Assert.Equal(1, TemperatureScaling.Fit(Of(0, 1, 0))); // Every row right: no temperature is low enough.
        Assert.Equal(20, TemperatureScaling.Fit(Of(1, 0, 1)), 9); // Every row wrong: none is high enough.
        Assert.Equal(1, TemperatureScaling.Fit(Of(0, 1, 0) with { Logits = [[0, 0], [0, 0], [0, 0]] }));
    }

    [Fact]
    public void Rows_come_back_in_their_order_whatever_the_order_of_the_batches()
    {
        var outputs = new ClassifierOutputs(ProblemType.SingleLabelClassification, ["a", "b"], [[1, 0], [0, 2], [3, 0]], [[0], [0], [0]]).Sorted([2, 0, 1], row => 10 + row);

        Assert.Equal([[0, 2], [3, 0], [1, 0]], outputs.Logits);
        Assert.Equal([10, 11, 12], outputs.Lines.Select(line => line!.Value));
        var predictions = new ClassifierAssessment(outputs).Predictions().ToList();
        Assert.Equal([1, 0, 0], predictions.Select(prediction => Assert.Single(prediction.Predicted)));
        Assert.Equal([0.0, 2.0], predictions[0].Logits!);
    }

    [Fact]
    public void What_is_kept_of_many_rows_and_classes_is_bounded_and_of_the_same_rows_for_every_model()
    {
        ClassifierOutputs Of(int rows, int classes) => new(
            ProblemType.SingleLabelClassification, [.. Enumerable.Range(0, classes).Select(label => $"{label}")], [.. Enumerable.Range(0, rows).Select(row => Enumerable.Range(0, classes).Select(label => (float)((row + label) % 3)).ToArray())], [.. Enumerable.Range(0, rows).Select(row => new[] { (float)(row % classes) })])
        {
            Lines = [.. Enumerable.Range(2, rows).Select(line => (long?)line)],
        };

        var many = new ClassifierAssessment(Of(250_000, 2)).Predictions().ToList();
        Assert.Equal(83_334, many.Count);
        Assert.Equal([2L, 5, 8], many.Take(3).Select(prediction => prediction.Line!.Value));
        Assert.NotNull(many[0].Logits);
        Assert.Null(new ClassifierAssessment(Of(6000, 200)).Predictions().First().Logits);
        Assert.Null(new ClassifierAssessment(Of(500, 101)).Report.ConfusionMatrix);
        Assert.Equal(50, new ClassifierAssessment(Of(500, 101)).Report.Confusions.Count);
    }

    [Fact]
    public void Files_say_the_same_as_the_assessment()
    {
        var folder = Directory.CreateTempSubdirectory("assessment-").FullName;
        try
        {
            var assessment = new ClassifierAssessment(GoldenOutputs.Single("two_classes"));
            assessment.Write(folder);

            Assert.Equal(assessment.Report.Temperature, CalibrationFile.Read(folder)!.Temperature);
            Assert.Equal(assessment.Report.Classes[1].Threshold, CalibrationFile.Read(folder)!.Thresholds["class 1"]);
            var report = JsonSerializer.Deserialize<ClassificationReport>(File.ReadAllBytes(Path.Combine(folder, ClassificationReport.FileName)), SnakeCaseJson.Options)!;
            Assert.Equal(assessment.Report.Calibrated.Ece, report.Calibrated.Ece);
            var lines = File.ReadAllLines(Path.Combine(folder, ValidationPrediction.FileName));
            Assert.Equal(120, lines.Length);
            Assert.Equal(2, JsonSerializer.Deserialize<ValidationPrediction>(lines[0], SnakeCaseJson.Options)!.Line);
            File.WriteAllText(Path.Combine(folder, Calibration.FileName), """{"temperature": 0, "rows": 1, "thresholds": {}}""");
            Assert.Throws<FaultException>(() => CalibrationFile.Read(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
