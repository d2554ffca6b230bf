using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>Gathers logits and labels of a whole split; the metrics are defined over all rows, not as means over batches.</summary>
/// <param name="labels">Class names in the order of the logits.</param>
public abstract class ClassificationScorer(ProblemType problemType, IReadOnlyList<string> labels) : Scorer
{
    private double _lossSum;
    private double _targets;

    protected IReadOnlyList<string> Labels => labels;

    protected List<float[]> Logits { get; } = [];

    protected List<float[]> Targets { get; } = [];

    public static ClassificationScorer For(ProblemType problemType, IReadOnlyList<string> labels) => problemType switch
    {
        ProblemType.SingleLabelClassification => new SingleLabelScorer(labels),
        ProblemType.MultiLabelClassification => new MultiLabelScorer(labels),
        _ => new RegressionScorer(),
    };

    public override void Add(PretrainedModel model, Batch batch) => Add(model.call(batch.Inputs), batch);

    /// <param name="logits"><c>[batch, labels]</c>.</param>
    public void Add(Tensor logits, Batch batch)
    {
        _lossSum += ClassificationLoss.Sum(problemType, logits, batch.Labels).ToDouble();
        _targets += batch.Targets;
        Logits.AddRange(Rows(logits));
        Targets.AddRange(Rows(batch.Labels.reshape(batch.Rows, -1)));
    }

    public override Scores Compute()
    {
        var scores = Score();
        return scores with
        {
            Metrics = new Dictionary<string, double>(scores.Metrics) { ["loss"] = _lossSum / _targets },
            Outputs = problemType == ProblemType.Regression ? null : new(problemType, Labels, Logits, Targets),
        };
    }

    protected abstract Scores Score();

    protected static double Ratio(double part, double whole) => whole == 0 ? 0 : part / whole;

    /// <summary>F1 from counts; 0 where it is undefined, as scikit-learn has it.</summary>
    protected static double F1(double truePositives, double falsePositives, double falseNegatives) =>
        Ratio(2 * truePositives, 2 * truePositives + falsePositives + falseNegatives);

    private static IEnumerable<float[]> Rows(Tensor values) => // [rows, columns]
        values.to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray().Chunk((int)values.size(1));
}

/// <summary>Accuracy, macro and micro precision, recall and F1, Matthews' correlation, confusion matrix; for two classes also those of class 1.</summary>
internal sealed class SingleLabelScorer(IReadOnlyList<string> labels) : ClassificationScorer(ProblemType.SingleLabelClassification, labels)
{
    protected override Scores Score()
    {
        var classes = Labels.Count;
        var confusion = new int[classes][];
        for (var row = 0; row < classes; row++)
            confusion[row] = new int[classes];
        foreach (var (logits, target) in Logits.Zip(Targets))
            confusion[(int)target[0]][Array.IndexOf(logits, logits.Max())]++;

        var actual = confusion.Select(row => (double)row.Sum()).ToArray();
        var predicted = Enumerable.Range(0, classes).Select(column => (double)confusion.Sum(row => row[column])).ToArray();
        var hits = Enumerable.Range(0, classes).Select(label => (double)confusion[label][label]).ToArray();
        var seen = Enumerable.Range(0, classes).Where(label => actual[label] + predicted[label] > 0).ToArray(); // scikit-learn's labels: those in either
        double rows = actual.Sum(), correct = hits.Sum();
        var metrics = new Dictionary<string, double>
        {
            ["accuracy"] = Ratio(correct, rows),
            ["precision_macro"] = seen.Average(label => Ratio(hits[label], predicted[label])),
            ["recall_macro"] = seen.Average(label => Ratio(hits[label], actual[label])),
            ["f1_macro"] = seen.Average(Of),
            ["f1_micro"] = Ratio(correct, rows), // equals accuracy when every row has exactly one class
            ["f1_weighted"] = Ratio(seen.Sum(label => actual[label] * Of(label)), rows),
            ["matthews_correlation"] = Matthews(),
        };
        if (classes == 2)
            (metrics["precision"], metrics["recall"], metrics["f1"]) = (Ratio(hits[1], predicted[1]), Ratio(hits[1], actual[1]), Of(1));
        return new(metrics, confusion, [.. Labels]);

        double Of(int label) => F1(hits[label], predicted[label] - hits[label], actual[label] - hits[label]);

        // Gorodkin 2004: the correlation of two discrete variables over K classes.
        double Matthews() => Ratio(
            correct * rows - actual.Zip(predicted, (a, p) => a * p).Sum(),
            Math.Sqrt((rows * rows - predicted.Sum(p => p * p)) * (rows * rows - actual.Sum(a => a * a))));
    }
}

/// <summary>A class counts as predicted from a probability of one half on. Accuracy is that of whole rows.</summary>
internal sealed class MultiLabelScorer(IReadOnlyList<string> labels) : ClassificationScorer(ProblemType.MultiLabelClassification, labels)
{
    protected override Scores Score()
    {
        var classes = Targets[0].Length;
        double[] hits = new double[classes], predicted = new double[classes], actual = new double[classes];
        var wholeRows = 0;
        foreach (var (logits, target) in Logits.Zip(Targets))
        {
            var equal = true;
            for (var label = 0; label < classes; label++)
            {
                bool says = logits[label] >= 0, isSo = target[label] >= 0.5f;
                predicted[label] += says ? 1 : 0;
                actual[label] += isSo ? 1 : 0;
                hits[label] += says && isSo ? 1 : 0;
                equal &= says == isSo;
            }
            wholeRows += equal ? 1 : 0;
        }
        var all = Enumerable.Range(0, classes).ToArray();
        return new(new Dictionary<string, double>
        {
            ["accuracy"] = Ratio(wholeRows, Targets.Count),
            ["precision_macro"] = all.Average(label => Ratio(hits[label], predicted[label])),
            ["recall_macro"] = all.Average(label => Ratio(hits[label], actual[label])),
            ["f1_macro"] = all.Average(label => F1(hits[label], predicted[label] - hits[label], actual[label] - hits[label])),
            ["precision_micro"] = Ratio(hits.Sum(), predicted.Sum()),
            ["recall_micro"] = Ratio(hits.Sum(), actual.Sum()),
            ["f1_micro"] = F1(hits.Sum(), predicted.Sum() - hits.Sum(), actual.Sum() - hits.Sum()),
        });
    }
}

/// <summary>Errors, explained variance (R²) and Pearson's correlation.</summary>
internal sealed class RegressionScorer() : ClassificationScorer(ProblemType.Regression, [])
{
    protected override Scores Score()
    {
        double[] predicted = [.. Logits.Select(row => (double)row[0])], actual = [.. Targets.Select(row => (double)row[0])];
        double meanPredicted = predicted.Average(), meanActual = actual.Average();
        var squaredErrors = predicted.Zip(actual, (p, a) => (p - a) * (p - a)).Sum();
        var spread = actual.Sum(a => (a - meanActual) * (a - meanActual));
        var covariance = predicted.Zip(actual, (p, a) => (p - meanPredicted) * (a - meanActual)).Sum();
        return new(new Dictionary<string, double>
        {
            ["mse"] = squaredErrors / actual.Length,
            ["rmse"] = Math.Sqrt(squaredErrors / actual.Length),
            ["mae"] = predicted.Zip(actual, (p, a) => Math.Abs(p - a)).Average(),
            ["r2"] = spread == 0 ? 0 : 1 - squaredErrors / spread,
            ["pearson"] = Ratio(covariance, Math.Sqrt(spread * predicted.Sum(p => (p - meanPredicted) * (p - meanPredicted)))),
        });
    }
}
