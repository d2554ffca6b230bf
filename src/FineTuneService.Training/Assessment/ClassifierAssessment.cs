using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Assessment;

/// <summary>All that a checkpoint keeps of its classifier's answers on the validation rows.</summary>
public sealed class ClassifierAssessment(ClassifierOutputs outputs)
{
    private const int MostMistakes = 100, MostConfusions = 50, MostPoints = 100;

    /// <summary>Rows of the predictions' file: of more, every second is left out, or two of three, and so on; the same for every run on them.</summary>
    private const int MostRows = 100_000;

    /// <summary>Numbers that the file may have: about 8 MB.</summary>
    private const long MostLogits = 1_000_000;

    private readonly double _temperature = TemperatureScaling.Fit(outputs);

    public ClassificationReport Report => field ??= new()
    {
        ProblemType = JsonSerializer.SerializeToElement(outputs.ProblemType, SnakeCaseJson.Options).GetString()!,
        Rows = outputs.Rows,
        Accuracy = (double)Enumerable.Range(0, outputs.Rows).Count(outputs.IsRight) / outputs.Rows,
        Temperature = _temperature,
        Uncalibrated = Reliability.Of(outputs, 1),
        Calibrated = Reliability.Of(outputs, _temperature),
        Classes = ClassTable.Of(outputs, _temperature),
        ConfusionMatrix = outputs.IsSingleLabel && outputs.Labels.Count <= ClassificationReport.MostClassesOfMatrix ? Matrix() : null,
        Confusions = outputs.IsSingleLabel ? Confusions() : [],
        AbstainCurve = outputs.IsSingleLabel ? AbstainCurve() : [],
        ConfidentMistakes = Mistakes(),
    };

    public Calibration Calibration => new()
    {
        Temperature = _temperature,
        Rows = outputs.Rows,
        Thresholds = Report.Classes.Where(quality => quality.Threshold is not null).ToDictionary(quality => quality.Label, quality => quality.Threshold!.Value),
    };

    /// <summary>In the order of the rows.</summary>
    public IEnumerable<ValidationPrediction> Predictions()
    {
        var each = (outputs.Rows + MostRows - 1) / MostRows;
        var withLogits = (long)outputs.Rows / Math.Max(1, each) * outputs.Labels.Count <= MostLogits;
        for (var row = 0; row < outputs.Rows; row += each)
            yield return new()
            {
                Line = outputs.LineOf(row),
                Labels = outputs.True(row),
                Predicted = outputs.Predicted(row),
                Probability = Math.Round(Confidence(row), 6),
                Logits = withLogits ? [.. outputs.Logits[row].Select(logit => Math.Round((double)logit, 4))] : null,
            };
    }

    /// <param name="folder">Of the checkpoint.</param>
    public void Write(string folder)
    {
        File.WriteAllText(Path.Combine(folder, Contracts.Calibration.FileName), JsonSerializer.Serialize(Calibration, SnakeCaseJson.Indented));
        File.WriteAllText(Path.Combine(folder, ClassificationReport.FileName), JsonSerializer.Serialize(Report, SnakeCaseJson.Options));
        File.WriteAllLines(Path.Combine(folder, ValidationPrediction.FileName), Predictions().Select(prediction => JsonSerializer.Serialize(prediction, SnakeCaseJson.Options)));
    }

    private double Confidence(int row) => outputs.Probabilities(row, _temperature).Max();

    private int[][] Matrix()
    {
        int[][] matrix = [.. outputs.Labels.Select(_ => new int[outputs.Labels.Count])];
        for (var row = 0; row < outputs.Rows; row++)
            matrix[outputs.True(row)[0]][outputs.Predicted(row)[0]]++;
        return matrix;
    }

    private List<Confusion> Confusions() =>
    [
        .. Wrong().GroupBy(row => (True: outputs.True(row)[0], Predicted: outputs.Predicted(row)[0])).OrderByDescending(pair => pair.Count()).ThenBy(pair => pair.Key).Take(MostConfusions)
            .Select(pair => new Confusion(outputs.Labels[pair.Key.True], outputs.Labels[pair.Key.Predicted], pair.Count())),
    ];

    /// <summary>Coverage against accuracy (El-Yaniv and Wiener 2010): rows of equal confidence are answered together.</summary>
    private List<AbstainPoint> AbstainCurve()
    {
        var sorted = Enumerable.Range(0, outputs.Rows).Select(row => (Confidence: Confidence(row), IsRight: outputs.IsRight(row))).OrderByDescending(one => one.Confidence).ToList();
        var points = new List<AbstainPoint>();
        var right = 0;
        for (var at = 0; at < sorted.Count; at++)
        {
            right += sorted[at].IsRight ? 1 : 0;
            var answered = at + 1;
            var isTied = answered < sorted.Count && sorted[answered].Confidence == sorted[at].Confidence;
            var isDue = points.Count == 0 || answered == sorted.Count || (long)answered * MostPoints / sorted.Count > (long)(points[^1].Coverage * MostPoints);
            if (!isTied && isDue)
                points.Add(new(sorted[at].Confidence, (double)answered / sorted.Count, (double)right / answered));
        }
        points.Reverse();
        return points;
    }

    private List<Mistake> Mistakes() =>
    [
        .. Wrong().Select(row => (Row: row, Probability: Surest(row))).OrderByDescending(wrong => wrong.Probability).Take(MostMistakes)
            .Select(wrong => new Mistake(outputs.LineOf(wrong.Row), Names(outputs.True(wrong.Row)), Names(outputs.Predicted(wrong.Row)), wrong.Probability)),
    ];

    private IEnumerable<int> Wrong() => Enumerable.Range(0, outputs.Rows).Where(row => !outputs.IsRight(row));

    /// <summary>Of what is told wrong of a row, the highest probability.</summary>
    private double Surest(int row)
    {
        if (outputs.IsSingleLabel)
            return Confidence(row);
        var (truth, predicted) = (outputs.True(row), outputs.Predicted(row));
        return outputs.Probabilities(row, _temperature).Select((probability, label) => truth.Contains(label) == predicted.Contains(label) ? 0 : Math.Max(probability, 1 - probability)).Max();
    }

    private string[] Names(IEnumerable<int> labels) => [.. labels.Select(label => outputs.Labels[label])];
}
