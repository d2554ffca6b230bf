using FineTuneService.Contracts;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>Whether the steps are of a size that leads somewhere.</summary>
internal static class StepSize
{
    public const string TooHighCode = "learning_rate_too_high", TooLowCode = "learning_rate_too_low";

    /// <summary>Above its first value by this share, the loss of several steps is no chance.</summary>
    private const double Rise = 0.15;

    /// <summary>The share of what was learnt that is lost again when a run is thrown back.</summary>
    private const double ThrownBack = 0.6;

    /// <summary>Less is nothing learnt.</summary>
    private const double Progress = 0.02;

    /// <summary>
    /// Adam moves a weight by at most about the learning rate a step (Kingma and Ba 2015, section 2.1), and weights are of the size of 0.02 (the initializer_range of most families):
    /// a run whose rates sum to a tenth of that has not been anywhere.
    /// </summary>
    private const double ShortestWay = 0.002;

    private const int FewestValues = 5;

    public static Finding? TooHigh(RunHistory history)
    {
        var loss = history.TrainLoss;
        if (loss.Count < FewestValues)
            return null;
        var smooth = history.SmoothLoss;
        var top = smooth.Values.Index().MaxBy(point => point.Item).Index;
        var rose = smooth.Values[top] > (1 + Rise) * loss.First;
        var low = smooth.Lowest;
        var learnt = loss.First - smooth.Values[low];
        var back = smooth.Values.Skip(low).Max();
        var thrownBack = learnt > 5 * Progress * loss.First && back - smooth.Values[low] > ThrownBack * learnt && !IsBestAtItsEnd(history.EvalLoss);
        if (!rose && !thrownBack)
            return null;
        var learntNothing = smooth.Last > (1 - Progress) * Math.Min(loss.First, history.LossOfChance ?? double.PositiveInfinity);
        var rate = history.Facts.Spec.Training.LearningRate.Resolved;
        var lower = Patch.Round(rate / (learntNothing ? 10 : 3));
        return new()
        {
            Code = TooHighCode,
            Severity = learntNothing ? FindingSeverity.High : FindingSeverity.Warning,
            FromStep = rose ? loss.Steps[0] : loss.Steps[low],
            ToStep = rose ? loss.Steps[top] : loss.LastStep,
            Explanation = (rose
                ? Invariant($"The training loss rose from {loss.First:G3} to {smooth.Values[top]:G3} by step {loss.Steps[top]}")
                : Invariant($"The training loss had fallen to {smooth.Values[low]:G3} at step {loss.Steps[low]}, and went back to {back:G3}"))
                + Invariant($" with a learning rate of {rate:G3}") + (learntNothing ? ": nothing was learnt." : "."),
            Remedy = Invariant($"Lower the learning rate to {lower:G3}, and let it warm up."),
            Patch = Patch.Training(("learning_rate", lower), ("warmup_steps", 0.1)),
        };
    }

    /// <summary>Such a run has been thrown back by the noise of its batches alone.</summary>
    private static bool IsBestAtItsEnd(Curve validation) => validation.Count >= 2 && validation.Values.SkipLast(1).Min() > (1 + Progress) * validation.Last;

    public static Finding? TooLow(RunHistory history)
    {
        var loss = history.TrainLoss;
        if (loss.Count < FewestValues || history.Step < history.Facts.TotalSteps / 2 || TooHigh(history) is not null)
            return null;
        var quarter = history.Step / 4.0;
        if (loss.Mean(-1, quarter) is not { } before || loss.Mean(3 * quarter, history.Step) is not { } after || before - after > Progress * before)
            return null;
        var rates = history.Of("learning_rate");
        var way = rates.Values.Average() * history.Step;
        if (way > ShortestWay)
            return null;
        var rate = history.Facts.Spec.Training.LearningRate.Resolved;
        var higher = Patch.Round(Math.Min(5e-4, Math.Max(10 * rate, rate * 5 * ShortestWay / way)));
        return new()
        {
            Code = TooLowCode,
            Severity = FindingSeverity.High,
            FromStep = loss.Steps[0],
            ToStep = history.Step,
            Explanation = Invariant($"The training loss stayed at {after:G3}: with a learning rate of {rate:G3} no weight can have moved by more than {way:G2} in {history.Step} steps."),
            Remedy = Invariant($"Raise the learning rate to {higher:G3}."),
            Patch = Patch.Training(("learning_rate", higher)),
        };
    }
}
