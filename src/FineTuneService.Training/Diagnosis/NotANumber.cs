using FineTuneService.Contracts;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>A step whose numbers are none.</summary>
internal static class NotANumber
{
    public const string Code = "divergence";

    /// <param name="what">What happened, with the rows of the batch: a sentence.</param>
    /// <param name="step">The step that could not be taken.</param>
    public static Finding Tell(TrainingArguments training, string what, int step)
    {
        var lower = Patch.Round(training.LearningRate.Resolved / 10);
        return new()
        {
            Code = Code,
            Severity = FindingSeverity.High,
            FromStep = step,
            ToStep = step,
            Explanation = what,
            Remedy = Invariant($"Look at these rows; lower the learning rate to {lower:G3}, let it warm up, and let the run go back by itself when it happens."),
            Patch = Patch.Training(("learning_rate", lower), ("warmup_steps", 0.1), ("on_divergence", "rollback")),
        };
    }
}
