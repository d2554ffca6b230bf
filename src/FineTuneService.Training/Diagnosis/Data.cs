using FineTuneService.Contracts;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>What the rows themselves keep a run from.</summary>
internal static class Data
{
    public const string TooSmallCode = "data_too_small", TruncationCode = "truncation";

    /// <summary>Fewer rows than this tell more about themselves than about what they are examples of.</summary>
    private const int FewRows = 100;

    /// <summary>With so few validation rows, a metric's standard error is at least 7 points (a share of one half, 1/(2√n)).</summary>
    private const int FewValidationRows = 50;

    private const double ManyTokens = 0.05;

    public static Finding? TooSmall(RunHistory history)
    {
        var facts = history.Facts;
        return facts.TrainRows >= FewRows && (facts.ValidationRows is 0 or >= FewValidationRows) ? null : new()
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
}
