using FineTuneService.Contracts;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>Whether the model learns too much of its rows, or too little.</summary>
internal static class Fit
{
    public const string OverfittingCode = "overfitting", UnderfittingCode = "underfitting";

    /// <summary>The share by which the validation loss must have risen.</summary>
    private const double Rise = 0.1;

    /// <summary>The share by which the training loss must have fallen meanwhile.</summary>
    private const double Fall = 0.05;

    /// <summary>What an evaluation's loss still fell by at the end, of a run that should have gone on.</summary>
    private const double StillFalling = 0.03;

    /// <summary>A training loss that is lower than the validation loss by this share says that more epochs would teach the rows, and not what they are examples of.</summary>
    private const double Gap = 0.03;

    public static Finding? Overfitting(RunHistory history)
    {
        var validation = history.EvalLoss;
        if (validation.Count < 3)
            return null;
        var lowest = validation.Lowest;
        var rise = (validation.Last / validation.Values[lowest]) - 1;
        if (lowest > validation.Count - 3 && rise < 2 * Rise || rise < Rise)
            return null;
        var onset = validation.Steps[lowest];
        var interval = validation.Steps[0];
        if (history.TrainLoss.Mean(onset - interval, onset) is not { } before || history.TrainLoss.Mean(history.Step - interval, history.Step) is not { } after || before - after < Fall * before)
            return null;
        var shorter = history.EndingAt(onset);
        var training = history.Facts.Spec.Training;
        return new()
        {
            Code = OverfittingCode,
            Severity = training.LoadBestModelAtEnd ? FindingSeverity.Warning : FindingSeverity.High,
            FromStep = onset,
            ToStep = validation.LastStep,
            Explanation = Invariant($"The validation loss was lowest at step {onset} ({validation.Values[lowest]:G3}) and has risen to {validation.Last:G3} since, while the training loss fell from {before:G3} to {after:G3}: the model learns its rows by heart."),
            Remedy = Invariant($"Stop after {shorter}, or when the validation loss has not improved for two evaluations; more rows, or LoRA, help against the cause."),
            Patch = training.EarlyStoppingPatience is null
                ? Patch.Training((shorter.Argument, shorter.Value), ("early_stopping_patience", 2), ("load_best_model_at_end", true))
                : Patch.Training((shorter.Argument, shorter.Value)),
        };
    }

    /// <summary>Whether a classifier tells little more than guessing does, of the rows that it learns and of others.</summary>
    public static bool IsBarelyBetter(RunHistory history) =>
        history.LossOfChance is { } chance && history.EvalLoss is { Count: > 0 } validation && validation.Last > 0.93 * chance && history.TrainLoss.Mean(0.75 * history.Step, history.Step) > 0.9 * chance;

    /// <summary>Told at the end, since until then there is hope.</summary>
    public static Finding? Underfitting(RunHistory history)
    {
        var validation = history.EvalLoss;
        if (!history.HasEnded || validation.Count == 0)
            return null;
        var barelyBetter = IsBarelyBetter(history);
        var falling = validation.Count >= 2 && validation.Lowest == validation.Count - 1 && 1 - (validation.Last / validation.Values[^2]) > StillFalling
            && history.TrainLoss.Mean(0.75 * history.Step, history.Step) > (1 - Gap) * validation.Last;
        var longer = history.EndingAt(2 * history.Facts.TotalSteps);
        return !barelyBetter && !falling ? null : new()
        {
            Code = UnderfittingCode,
            Severity = barelyBetter ? FindingSeverity.High : FindingSeverity.Info,
            FromStep = falling ? validation.Steps[^2] : 0,
            ToStep = history.Step,
            Explanation = barelyBetter
                ? Invariant($"The validation loss ended at {validation.Last:G3}, where guessing gives {history.LossOfChance:G3}: little was learnt.")
                : Invariant($"The validation loss was still falling at the end, from {validation.Values[^2]:G3} to {validation.Last:G3} over the last {validation.LastStep - validation.Steps[^2]} steps."),
            Remedy = $"Train for twice as many {longer.Unit}.",
            Patch = Patch.Training((longer.Argument, longer.Value)),
        };
    }
}
