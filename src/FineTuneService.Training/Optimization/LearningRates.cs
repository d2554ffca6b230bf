using FineTuneService.Contracts;

namespace FineTuneService.Training.Optimization;

/// <summary>Learning-rate schedules as factors of the peak rate; formulas of transformers' <c>optimization.py</c>.</summary>
public static class LearningRates
{
    /// <param name="step">Optimizer steps already done: the first step is taken with the factor of 0.</param>
    public static double Factor(LearningRateSchedule schedule, int step, int warmupSteps, int totalSteps)
    {
        if (step < warmupSteps && schedule != LearningRateSchedule.Constant)
            return (double)step / Math.Max(1, warmupSteps);
        var progress = (double)(step - warmupSteps) / Math.Max(1, totalSteps - warmupSteps);
        return schedule switch
        {
            LearningRateSchedule.Linear => Math.Max(0, 1 - progress),
            LearningRateSchedule.Cosine => Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * progress))),
            _ => 1,
        };
    }
}
