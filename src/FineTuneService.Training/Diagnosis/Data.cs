using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>What the rows themselves keep a run from.</summary>
internal static class Data
{
    public const string TooSmallCode = "data_too_small", TruncationCode = "truncation", LabelNoiseCode = "label_noise";

    /// <summary>Fewer rows than this tell more about themselves than about what they are examples of.</summary>
    private const int FewRows = 100;

    /// <summary>With so few validation rows, a metric's standard error is at least 7 points (a share of one half, 1/(2√n)).</summary>
    private const int FewValidationRows = 50;

    private const double ManyTokens = 0.05;

    /// <summary>Fewer contradictions are mended one by one; and of clean data a few in a hundred are a matter of opinion.</summary>
    private const int FewContradictions = 5;
    private const double MuchNoise = 0.03;

    public static Finding? TooSmall(RunHistory history)
    {
        var facts = history.Facts;
        var countsRows = ((TrainingTaskConfig)facts.Spec.Task).Head == ModelHead.SequenceClassification; // Others judge tokens, of which a row has many.
        return facts.TrainRows >= FewRows && (!countsRows || facts.ValidationRows is 0 or >= FewValidationRows) ? null : new()
        {
            Code = TooSmallCode,
            Severity = facts.TrainRows < FewRows ? FindingSeverity.Warning : FindingSeverity.Info,
            FromStep = 0,
            ToStep = history.Step,
            Explanation = facts.TrainRows < FewRows
                ? $"There are only {facts.TrainRows} rows to learn from."
                : Invariant($"There are only {facts.ValidationRows} validation rows: their scores are uncertain by about {100 / Math.Sqrt(facts.ValidationRows):F0} points."),
            Remedy = "Add rows, a few hundred of each kind.",
        };
    }

    public static Finding? Truncation(RunHistory history)
    {
        var (facts, (rows, tokens)) = (history.Facts, history.Facts.Truncated);
        var share = (double)tokens / Math.Max(1, tokens + facts.TrainTokens);
        var length = facts.Spec.Training.MaxLength.Resolved;
        return share < ManyTokens ? null : new()
        {
            Code = TruncationCode,
            Severity = share < 4 * ManyTokens ? FindingSeverity.Info : FindingSeverity.Warning,
            FromStep = 0,
            ToStep = history.Step,
            Explanation = Invariant($"{rows} of {facts.TrainRows} training rows are longer than {length} tokens: {100 * share:F0} % of all tokens were cut off and teach nothing."),
            Remedy = "Raise max_length, if the model reads more and memory allows, or split the long texts.",
            Patch = Patch.Training(("max_length", 2 * length)),
        };
    }

    /// <summary>
    /// Rows that say the same and are labelled otherwise are the one proof of wrong labels that needs no model; and there is no reason why labels of texts that occur once should be better.
    /// </summary>
    public static Finding? LabelNoise(RunHistory history)
    {
        var (rows, contradicted) = history.Facts.Repeated;
        var share = (double)contradicted / Math.Max(1, rows);
        return contradicted < FewContradictions || share < MuchNoise ? null : new()
        {
            Code = LabelNoiseCode,
            Severity = contradicted > MuchNoise * history.Facts.TrainRows ? FindingSeverity.High : FindingSeverity.Warning,
            FromStep = 0,
            ToStep = history.Step,
            Explanation = Invariant($"{rows} training rows say what others say too, and {contradicted} of them have another label than most of these: about {100 * share:F0} % of the labels may be wrong, also where a text occurs once."),
            Remedy = "Clean the dataset: finetune report, or POST /datasets/{id}/report, names the rows that contradict each other and those that are suspected, and a cleaning drops or relabels them. label_smoothing_factor 0.1 makes what is left weigh less.",
            Patch = history.Facts.Spec.Training.LabelSmoothingFactor > 0 ? null : Patch.Training(("label_smoothing_factor", 0.1)),
        };
    }
}
