using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Optimization;

/// <summary>Which arguments of schedules and optimizers go together; where transformers would raise a TypeError or a ValueError.</summary>
internal static class OptimizationRules
{
    /// <param name="options">Those of <c>lr_scheduler_kwargs</c> as they were given; null: none.</param>
    /// <param name="evaluates">Whether there will be evaluations.</param>
    public static void Check(TrainingArguments training, JsonObject? options, bool evaluates, FaultList faults)
    {
        CheckSchedule(training.LrSchedulerType, training.LrSchedulerKwargs ?? new(), options, evaluates, faults);
        if (training.OptimArgs is null)
            return;
        if (training.Optim == OptimizerName.Sgd)
            SgdOptions.Parse(training.OptimArgs, faults);
        else
            faults.Add("/training/optim_args", training.OptimArgs, "Only sgd has arguments of its own.", "Leave it out; Adam's are adam_beta1, adam_beta2 and adam_epsilon.");
    }

    private static void CheckSchedule(LearningRateSchedule schedule, LearningRateOptions options, JsonObject? given, bool evaluates, FaultList faults)
    {
        const string Kwargs = "/training/lr_scheduler_kwargs";
        var known = LearningRates.OptionsOf(schedule);
        foreach (var (name, value) in given ?? [])
            faults.Require(
                known.Contains(name), $"{Kwargs}/{name}", value, $"This schedule ({NameOf(schedule)}) has no such option.",
                known.Count == 0 ? "Leave it out." : $"Known to it: {string.Join(", ", known)}.");
        if (options.NumDecaySteps is { } decay)
            faults.Require(decay < 1 || decay == Math.Floor(decay), $"{Kwargs}/num_decay_steps", decay, "From 1 on this is a count of steps, and those are whole.", "Give a whole number, or a share below 1.");
        switch (schedule)
        {
            case LearningRateSchedule.CosineWithMinLr or LearningRateSchedule.CosineWarmupWithMinLr:
                faults.Require(
                    options.MinLr is null != options.MinLrRate is null, Kwargs, given?.ToJsonString(), "This schedule needs its lowest rate, once.",
                    "Give min_lr, a rate, or min_lr_rate, a share of learning_rate.");
                break;
            case LearningRateSchedule.WarmupStableDecay:
                faults.Require(options.NumDecaySteps is not null, Kwargs, given?.ToJsonString(), "This schedule must know when its decay begins.", "Give num_decay_steps: steps, or a share below 1.");
                break;
            case LearningRateSchedule.ReduceLrOnPlateau:
                faults.Require(evaluates, "/training/lr_scheduler_type", NameOf(schedule), "This schedule goes by evaluations, and there are none.", "Set eval_strategy to epoch or steps, and give validation rows; or choose another schedule.");
                break;
        }
    }

    private static string NameOf(LearningRateSchedule schedule) => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(schedule.ToString());
}
