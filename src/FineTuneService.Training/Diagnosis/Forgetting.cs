using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Methods;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>Whether the model unlearns what it knew (McCloskey and Cohen 1989), where the run measures it.</summary>
internal static class Forgetting
{
    public const string Code = "forgetting";

    /// <summary>By what factor the perplexity must have risen.</summary>
    private const double Rise = 1.25, HighRise = 2;

    /// <summary>What adapters are trained with where nothing is said.</summary>
    private const double RateOfAdapters = 2e-4;

    /// <summary>Of general text and of earlier datasets, the one that is forgotten most.</summary>
    public static Finding? Told(RunHistory history)
    {
        var earlier = (history.Facts.Spec.Dataset.Earlier ?? []).Select((file, index) => (Probe.Earlier(index), Name: Path.GetFileName(file)));
        var (text, loss) = earlier.Prepend((ForgettingProbe.Split, "general text")).Select(probe => (probe.Item2, Loss: history.Of($"{probe.Item1}_loss")))
            .Where(probe => probe.Loss.Count >= 2 && probe.Loss.Steps[0] == 0).OrderByDescending(probe => probe.Loss.Last - probe.Loss.First).FirstOrDefault();
        if (loss is null)
            return null;
        var factors = loss.Values.Select(value => Math.Exp(value - loss.First)).ToList();
        if (factors[^1] < Rise)
            return null;
        var training = history.Facts.Spec.Training;
        var isFull = history.Facts.Spec.Method is null or FullFineTuningConfig;
        var lower = Patch.Round(training.LearningRate.Resolved / 3);
        return new()
        {
            Code = Code,
            Severity = factors[^1] < HighRise ? FindingSeverity.Warning : FindingSeverity.High,
            FromStep = loss.Steps[factors.FindIndex(factor => factor >= Rise)],
            ToStep = loss.LastStep,
            Explanation = Invariant($"Perplexity on {text} is {factors[^1]:G3} times what it was before the first step (loss {loss.First:G3}, now {loss.Last:G3}): the model forgets what it knew."),
            Remedy = isFull
                ? "Train adapters (method lora) in place of all weights, or hold the model near its base (training.kl_to_base_weight), or mix rows of an earlier dataset or of general text in (dataset.replay), or lower the learning rate."
                : "Lower the learning rate, or hold the model near its base (training.kl_to_base_weight), or mix rows of an earlier dataset or of general text in (dataset.replay).",
            Patch = history.Facts.Spec.Method == new FullFineTuningConfig()
                ? new() { ["method"] = new System.Text.Json.Nodes.JsonObject { ["type"] = "lora" }, ["training"] = new System.Text.Json.Nodes.JsonObject { ["learning_rate"] = RateOfAdapters } }
                : Patch.Training(("learning_rate", lower)),
        };
    }
}
