namespace FineTuneService.Contracts;

/// <summary><c>calibration.json</c> of a classifier's checkpoint: what makes its probabilities honest, fitted on the validation rows. Its logits are left as they are.</summary>
public sealed record Calibration
{
    public const string FileName = "calibration.json";

    /// <summary>Logits are divided by it before they become probabilities (Guo et al. 2017, arXiv:1706.04599): above 1 the model was too sure. 1: no better one was found.</summary>
    public required double Temperature { get; init; }

    /// <summary>Validation rows that it was fitted on.</summary>
    public required int Rows { get; init; }

    /// <summary>Of each class, from which calibrated probability on to say it, for its highest F1 on the validation rows; a class without such rows has none.</summary>
    public required IReadOnlyDictionary<string, double> Thresholds { get; init; }
}

/// <summary><c>classification_report.json</c> of a classifier's checkpoint: how it does on the validation rows, with and without its <see cref="Calibration"/>.</summary>
public sealed record ClassificationReport
{
    public const string FileName = "classification_report.json";

    /// <summary>More classes than this have no whole confusion matrix.</summary>
    public const int MostClassesOfMatrix = 100;

    /// <summary><c>single_label_classification</c> or <c>multi_label_classification</c>.</summary>
    public required string ProblemType { get; init; }

    public required int Rows { get; init; }

    /// <summary>Share of rows that are told as they are; of many labels, whole rows.</summary>
    public required double Accuracy { get; init; }

    public required double Temperature { get; init; }

    /// <summary>With the logits as they are.</summary>
    public required CalibrationQuality Uncalibrated { get; init; }

    /// <summary>With <see cref="Temperature"/>, on the rows that it was fitted on: of one number more, that flatters little.</summary>
    public required CalibrationQuality Calibrated { get; init; }

    /// <summary>In the order of the logits.</summary>
    public required IReadOnlyList<ClassQuality> Classes { get; init; }

    /// <summary>Rows are true classes, columns predictions, in the order of <see cref="Classes"/>; absent for many labels, and for more than 100 classes.</summary>
    public int[][]? ConfusionMatrix { get; init; }

    /// <summary>The classes that are most often taken for another, at most 50 pairs; none for many labels.</summary>
    public required IReadOnlyList<Confusion> Confusions { get; init; }

    /// <summary>What is gained by not answering where the model is least sure, from all rows to few; empty for many labels.</summary>
    public required IReadOnlyList<AbstainPoint> AbstainCurve { get; init; }

    /// <summary>Rows that are told wrong with the highest probability: often it is the label that is wrong.</summary>
    public required IReadOnlyList<Mistake> ConfidentMistakes { get; init; }
}

/// <summary>How far probabilities are what happens. For many labels each row counts once a class.</summary>
/// <param name="Nll">Mean negative log-likelihood, in nats: of the true class, or of each class's being true or not.</param>
/// <param name="Brier">Mean over the rows of the squared distance between the probabilities and what is so, summed over the classes.</param>
/// <param name="Ece">Expected calibration error over bins of equal width.</param>
/// <param name="EceEqualMass">The same over bins of equally many rows.</param>
/// <param name="EqualWidth">The reliability diagram, without its empty bins.</param>
public sealed record CalibrationQuality(double Nll, double Brier, double Ece, double EceEqualMass, IReadOnlyList<ReliabilityBin> EqualWidth, IReadOnlyList<ReliabilityBin> EqualMass);

/// <param name="Confidence">Mean probability of what is told: of the predicted class; for many labels, of each class's being true.</param>
/// <param name="Accuracy">The share of it that is so.</param>
public sealed record ReliabilityBin(int Count, double Confidence, double Accuracy);

/// <param name="Rows">Rows that are of this class.</param>
/// <param name="Predicted">Rows that are told to be.</param>
/// <param name="Threshold">See <see cref="Calibration.Thresholds"/>.</param>
/// <param name="F1AtThreshold">Of saying this class from that probability on.</param>
public sealed record ClassQuality(string Label, int Rows, int Predicted, double Precision, double Recall, double F1, double? Threshold, double? F1AtThreshold);

public sealed record Confusion(string Label, string Predicted, int Count);

/// <param name="AbstainBelow">The calibrated probability from which on a row is answered.</param>
/// <param name="Coverage">Share of the rows that are answered then.</param>
/// <param name="Accuracy">Share of these that are right.</param>
public sealed record AbstainPoint(double AbstainBelow, double Coverage, double Accuracy);

/// <param name="Line">Of the row in its file, from 1, the header included.</param>
/// <param name="Probability">Calibrated, of what was told: of many labels, the surest wrong word.</param>
/// <param name="Text">As the file has it; absent where the file has gone, and in the checkpoint.</param>
public sealed record Mistake(long? Line, IReadOnlyList<string> Labels, IReadOnlyList<string> Predicted, double Probability, string? Text = null, string? TextPair = null);

/// <summary>A line of <c>validation_predictions.jsonl</c>: what a classifier says of one validation row.</summary>
public sealed record ValidationPrediction
{
    public const string FileName = "validation_predictions.jsonl";

    /// <summary>Of the row in its file, from 1, the header included.</summary>
    public long? Line { get; init; }

    /// <summary>The true classes, by their number.</summary>
    public required IReadOnlyList<int> Labels { get; init; }

    /// <summary>Likewise, as told.</summary>
    public required IReadOnlyList<int> Predicted { get; init; }

    /// <summary>Calibrated probability of the most probable class.</summary>
    public required double Probability { get; init; }

    /// <summary>As they are, of four digits; absent where they would fill the disk.</summary>
    public IReadOnlyList<double>? Logits { get; init; }
}
