using FineTuneService.Contracts;

namespace FineTuneService.Training.Optimization;

/// <summary>Learning-rate schedules as factors of the peak rate; formulas of transformers' <c>optimization.py</c>.</summary>
public static class LearningRates
{
    /// <summary>Where <c>polynomial</c> ends unless told.</summary>
    public const double UsualEnd = 1e-7;

    /// <summary>Names of the <see cref="LearningRateOptions"/> that a schedule knows.</summary>
    public static IReadOnlyList<string> OptionsOf(LearningRateSchedule schedule) => schedule switch
    {
        LearningRateSchedule.Cosine or LearningRateSchedule.CosineWithRestarts => ["num_cycles"],
        LearningRateSchedule.Polynomial => ["power", "lr_end"],
        LearningRateSchedule.InverseSqrt => ["timescale"],
        LearningRateSchedule.CosineWithMinLr => ["num_cycles", "min_lr", "min_lr_rate"],
        LearningRateSchedule.CosineWarmupWithMinLr => ["num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"],
        LearningRateSchedule.WarmupStableDecay => ["num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio", "num_cycles"],
        LearningRateSchedule.ReduceLrOnPlateau => ["factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps"],
        _ => [],
    };

    /// <param name="step">Optimizer steps already done: the first step is taken with the factor of 0.</param>
    /// <param name="peak">The rate that the factor is of: some options are rates.</param>
    public static double Factor(LearningRateSchedule schedule, int step, int warmupSteps, int totalSteps, LearningRateOptions? options = null, double peak = 1)
    {
        options ??= new();
        if (schedule is LearningRateSchedule.Constant or LearningRateSchedule.ReduceLrOnPlateau)
            return 1;
        if (step < warmupSteps)
            return WarmUp(schedule, step, warmupSteps, options);
        var decaying = Math.Max(1, totalSteps - warmupSteps);
        var progress = (double)(step - warmupSteps) / decaying;
        return schedule switch
        {
            LearningRateSchedule.Linear => Math.Max(0, (double)(totalSteps - step) / decaying),
            LearningRateSchedule.Cosine => Math.Max(0, Wave(options.NumCycles ?? 0.5, progress)),
            LearningRateSchedule.CosineWithRestarts => progress >= 1 ? 0 : 0.5 * (1 + Math.Cos(Math.PI * ((options.NumCycles ?? 1) * progress % 1))),
            LearningRateSchedule.Polynomial => Polynomial(Math.Min(1, progress), options, peak),
            LearningRateSchedule.InverseSqrt => InverseSqrt(step - warmupSteps, options.Timescale ?? (warmupSteps > 0 ? warmupSteps : 10_000)),
            LearningRateSchedule.CosineWithMinLr => Lifted(Wave(options.NumCycles ?? 0.5, progress), Lowest(options, peak)),
            LearningRateSchedule.CosineWarmupWithMinLr => Lifted(Wave(options.NumCycles ?? 0.5, progress + 1.0 / decaying), Lowest(options, peak)),
            LearningRateSchedule.WarmupStableDecay => StableDecay(step - warmupSteps, totalSteps, totalSteps - warmupSteps, options),
            _ => 1,
        };
    }

    private static double WarmUp(LearningRateSchedule schedule, int step, int warmupSteps, LearningRateOptions options) => schedule switch
    {
        LearningRateSchedule.CosineWarmupWithMinLr when options.WarmupLrRate is { } first => first + (1 - first) * step / Math.Max(1, warmupSteps - 1),
        LearningRateSchedule.CosineWarmupWithMinLr => (step + 1.0) / warmupSteps,
        LearningRateSchedule.WarmupStableDecay => Lifted(
            options.WarmupType switch
            {
                RateShape.Cosine => 0.5 * (1 - Math.Cos(Math.PI * step / warmupSteps)),
                RateShape.OneMinusSqrt => 1 - Math.Sqrt(1 - (double)step / warmupSteps),
                _ => (double)step / warmupSteps,
            },
            options.MinLrRatio ?? 0),
        _ => (double)step / warmupSteps,
    };

    private static double Wave(double cycles, double progress) => 0.5 * (1 + Math.Cos(Math.PI * cycles * 2 * progress));

    private static double Lifted(double factor, double lowest) => Math.Max(0, factor * (1 - lowest) + lowest);

    private static double Lowest(LearningRateOptions options, double peak) => options.MinLrRate ?? (options.MinLr ?? 0) / peak;

    private static double Polynomial(double progress, LearningRateOptions options, double peak)
    {
        var end = options.LrEnd ?? UsualEnd;
        return ((peak - end) * Math.Pow(1 - progress, options.Power ?? 1) + end) / peak;
    }

    private static double InverseSqrt(int sinceWarmup, double timescale) => 1 / Math.Sqrt((sinceWarmup + timescale) / timescale);

    private static double StableDecay(int sinceWarmup, int totalSteps, int afterWarmup, LearningRateOptions options)
    {
        var decay = options.NumDecaySteps is { } given ? (int)Math.Ceiling(given < 1 ? given * totalSteps : given) : afterWarmup;
        var stable = options.NumStableSteps ?? afterWarmup - decay;
        var lowest = options.MinLrRatio ?? 0;
        if (sinceWarmup < stable)
            return 1;
        if (sinceWarmup >= stable + decay)
            return lowest;
        var progress = (double)(sinceWarmup - stable) / decay;
        return Lifted(
            options.DecayType switch
            {
                RateShape.Linear => 1 - progress,
                RateShape.OneMinusSqrt => 1 - Math.Sqrt(progress),
                _ => Wave(options.NumCycles ?? 0.5, progress),
            },
            lowest);
    }
}
