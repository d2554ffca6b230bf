using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Tasks;

/// <summary>Expected values were computed with scikit-learn 1.7 (accuracy_score, f1_score, matthews_corrcoef, r2_score, …).</summary>
public sealed class ClassificationScorersTests
{
    [Fact]
    public void Single_label_metrics_equal_scikit_learns()
    {
        long[] actual = [0, 1, 2, 2, 1, 0, 2, 2, 1, 0];
        long[] predicted = [0, 1, 2, 1, 1, 2, 2, 2, 0, 0];
        var scores = Score(ProblemType.SingleLabelClassification, ["a", "b", "c"], OneHot(predicted, 3), tensor(actual));

        Assert.Equal(0.7, scores.Metrics["accuracy"], 10);
        Assert.Equal(0.694444444444, scores.Metrics["precision_macro"], 10);
        Assert.Equal(0.694444444444, scores.Metrics["recall_macro"], 10);
        Assert.Equal(0.694444444444, scores.Metrics["f1_macro"], 10);
        Assert.Equal(0.7, scores.Metrics["f1_weighted"], 10);
        Assert.Equal(0.545454545454, scores.Metrics["matthews_correlation"], 10);
        Assert.Equal([[2, 0, 1], [1, 2, 0], [0, 1, 3]], scores.ConfusionMatrix!);
    }

    [Fact]
    public void Two_classes_also_have_the_metrics_of_the_second()
    {
        var scores = Score(ProblemType.SingleLabelClassification, ["no", "yes"], OneHot([1, 1, 0, 1, 0], 2), tensor(new long[] { 1, 0, 0, 1, 1 }));

        Assert.Equal(2.0 / 3, scores.Metrics["precision"], 10);
        Assert.Equal(2.0 / 3, scores.Metrics["recall"], 10);
        Assert.Equal(2.0 / 3, scores.Metrics["f1"], 10);
        Assert.Equal(1.0 / 6, scores.Metrics["matthews_correlation"], 10);
    }

    [Fact]
    public void A_class_that_nobody_has_or_predicts_does_not_count()
    {
        var scores = Score(ProblemType.SingleLabelClassification, ["a", "b", "never"], OneHot([0, 1], 3), tensor(new long[] { 0, 1 }));

        Assert.Equal(1, scores.Metrics["f1_macro"]);
    }

    [Fact]
    public void Multi_label_metrics_equal_scikit_learns()
    {
        var logits = tensor(new float[] { 2, -1, 1, -1, 3, -2, 1, 1, -1 }).reshape(3, 3);
        var labels = tensor(new float[] { 1, 0, 1, 0, 1, 1, 1, 0, 0 }).reshape(3, 3);
        var scores = Score(ProblemType.MultiLabelClassification, ["a", "b", "c"], logits, labels);

        Assert.Equal(1.0 / 3, scores.Metrics["accuracy"], 10);
        Assert.Equal(0.8, scores.Metrics["f1_micro"], 10);
        Assert.Equal((1 + 2.0 / 3 + 2.0 / 3) / 3, scores.Metrics["f1_macro"], 10);
    }

    [Fact]
    public void Regression_metrics_follow_their_definitions()
    {
        var scores = Score(ProblemType.Regression, ["score"], tensor(new float[] { 2.5f, 0, 2, 8 }).reshape(4, 1), tensor(new float[] { 3, -0.5f, 2, 7 }));

        Assert.Equal(0.375, scores.Metrics["mse"], 6);
        Assert.Equal(0.5, scores.Metrics["mae"], 6);
        Assert.Equal(0.948608137, scores.Metrics["r2"], 6);
        Assert.Equal(0.375, scores.Metrics["loss"], 6);
    }

    [Fact]
    public void The_loss_is_the_mean_over_rows_not_over_batches()
    {
        var scorer = ClassificationScorer.For(ProblemType.Regression, ["score"]);
        scorer.Add(tensor(new float[] { 1, 1, 1 }).reshape(3, 1), Wrap(ProblemType.Regression, tensor(new float[] { 0, 0, 0 })));
        scorer.Add(tensor(new float[] { 3 }).reshape(1, 1), Wrap(ProblemType.Regression, tensor(new float[] { 0 })));

        Assert.Equal((1 + 1 + 1 + 9) / 4.0, scorer.Compute().Metrics["loss"], 6);
    }

    private static Scores Score(ProblemType problemType, string[] labels, Tensor logits, Tensor targets)
    {
        var scorer = ClassificationScorer.For(problemType, labels);
        scorer.Add(logits, Wrap(problemType, targets));
        return scorer.Compute();
    }

    private static Batch Wrap(ProblemType problemType, Tensor labels)
    {
        var rows = (int)labels.size(0);
        return new(new ModelInputs(zeros(rows, 1, dtype: ScalarType.Int64)), labels, rows, rows, ClassificationLoss.Targets(problemType, rows, labels.ndim == 2 ? (int)labels.size(1) : 1));
    }

    private static Tensor OneHot(long[] classes, long count) => nn.functional.one_hot(tensor(classes), count).to(ScalarType.Float32);
}
