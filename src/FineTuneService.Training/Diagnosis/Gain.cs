using FineTuneService.Contracts;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>Whether the rest of a run is worth its time.</summary>
internal static class Gain
{
    public const string StopNowCode = "stop_now";

    /// <summary>Evaluations that make a trend.</summary>
    private const int FewestValues = 4;

    /// <summary>The share of the steps that must be left, or nothing is saved.</summary>
    private const double WorthSaving = 0.2;

    /// <summary>The share of the validation loss that is not worth waiting for.</summary>
    private const double Negligible = 0.01;

    /// <summary>The slowest that gains are taken to shrink by from evaluation to evaluation.</summary>
    private const double SlowestDecay = 0.9;

    /// <summary>Told while the run goes on.</summary>
    public static Finding? StopNow(RunHistory history)
    {
        var validation = history.EvalLoss;
        var left = 1 - (double)history.Step / history.Facts.TotalSteps;
        if (history.HasEnded || validation.Count < FewestValues || left < WorthSaving)
            return null;
        var best = validation.Values[validation.Lowest];
        var expected = Expected(validation, history.Facts.TotalSteps);
        var cost = Math.Max(0, (best - expected) / best);
        var shorter = history.EndingAt(validation.Steps[validation.Lowest]);
        return cost > Negligible ? null : new()
        {
            Code = StopNowCode,
            Severity = FindingSeverity.Info,
            FromStep = validation.Steps[^FewestValues],
            ToStep = validation.LastStep,
            Explanation = Invariant($"The lowest validation loss is {best:G4}, of step {validation.Steps[validation.Lowest]}. As the last evaluations go, the {100 * left:F0} % of the steps that are left bring it to about {Math.Min(best, expected):G4}: stopping now costs about {100 * cost:F1} % of it."),
            Remedy = "Cancel the job: its best checkpoint stays. The same again can end here.",
            Patch = Patch.Training((shorter.Argument, shorter.Value)),
        };
    }

    /// <summary>Where the loss ends if its gains go on shrinking as they did over the last evaluations: a geometric series.</summary>
    private static double Expected(Curve validation, int totalSteps)
    {
        var (earlier, later) = (validation.Values[^3] - validation.Values[^2], validation.Values[^2] - validation.Last);
        var gain = Math.Max(later, (validation.Values[^FewestValues] - validation.Last) / (FewestValues - 1)); // One evaluation may be unlucky.
        if (gain <= 0)
            return validation.Last;
        var decay = earlier > 0 ? Math.Clamp(later / earlier, 0.3, SlowestDecay) : SlowestDecay;
        var interval = validation.LastStep - validation.Steps[^2];
        var evaluations = (totalSteps - validation.LastStep) / Math.Max(1, interval);
        return validation.Last - gain * decay * (1 - Math.Pow(decay, evaluations)) / (1 - decay);
    }
}
