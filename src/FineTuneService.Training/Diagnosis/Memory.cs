using FineTuneService.Contracts;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>Whether a run fits into its machine.</summary>
internal static class Memory
{
    public const string PressureCode = "memory_pressure";

    /// <summary>The share of the free memory from which on a run may fail by chance.</summary>
    private const double Tight = 0.9;

    public static Finding? Pressure(RunHistory history)
    {
        var (facts, adaptation, training) = (history.Facts, history.Facts.Adaptation, history.Facts.Spec.Training);
        var given = training.PerDeviceTrainBatchSize.Resolved;
        if (adaptation is { GradientCheckpointing: true })
            return Tell(FindingSeverity.Warning, "Memory ran out with one row at a time: the run went on with gradient checkpointing, which computes every layer twice.", "Train an adapter, shorten the rows, or use a machine with more memory.", ("gradient_checkpointing", true), ("per_device_train_batch_size", 1), ("gradient_accumulation_steps", given * training.GradientAccumulationSteps));
        if (adaptation.MicroBatchSize is { } size && size < given)
            return Tell(FindingSeverity.Warning, $"Memory ran out with {given} rows at a time: the run went on with {size}, at the same rows a step.", $"Ask for {size} rows at a time and accumulate them: then it does not run out again.", ("per_device_train_batch_size", size), ("gradient_accumulation_steps", training.GradientAccumulationSteps * ((given + size - 1) / size)));
        return facts.Memory is { } memory && memory.Needed > Tight * memory.Free
            ? Tell(FindingSeverity.Info, Invariant($"The run may need {memory.Needed / 1e9:F1} GB, and {memory.Free / 1e9:F1} GB were free at its start."), "With gradient checkpointing it needs less.", ("gradient_checkpointing", true))
            : null;

        Finding Tell(FindingSeverity severity, string explanation, string remedy, params (string, System.Text.Json.Nodes.JsonNode)[] patch) => new()
        {
            Code = PressureCode,
            Severity = severity,
            FromStep = 0,
            ToStep = history.Step,
            Explanation = explanation,
            Remedy = remedy,
            Patch = Patch.Training(patch),
        };
    }
}
