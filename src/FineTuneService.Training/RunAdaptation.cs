using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Native;

namespace FineTuneService.Training;

/// <summary>
/// What a run has changed about itself to survive, kept in its folder: every attempt begins with it, so a resumed run is the run that was broken off.
/// The rows of an optimizer step, and their order, stay what the specification says.
/// </summary>
public sealed record RunAdaptation
{
    /// <summary>Rows that go through the model at once: a micro-batch of the specification is taken in parts of this many. Null: whole.</summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>In place of <c>per_device_eval_batch_size</c>; null: that.</summary>
    public int? EvalBatchSize { get; init; }

    public bool GradientCheckpointing { get; init; }

    /// <summary>By which the learning rate of the specification is multiplied.</summary>
    public double LearningRateFactor { get; init; } = 1;

    /// <summary>How often the run went back to a checkpoint because it had diverged.</summary>
    public int Rollbacks { get; init; }

    public static RunAdaptation Read(RunFolder folder) =>
        File.Exists(folder.Adaptation) ? JsonSerializer.Deserialize<RunAdaptation>(File.ReadAllBytes(folder.Adaptation), SnakeCaseJson.Options)! : new();

    /// <summary>Changes what the folder holds, and brings it to the disk.</summary>
    public static void Change(RunFolder folder, Func<RunAdaptation, RunAdaptation> change)
    {
        var draft = folder.Adaptation + ".draft";
        File.WriteAllText(draft, JsonSerializer.Serialize(change(Read(folder)), SnakeCaseJson.Indented));
        Durable.Flush(draft);
        File.Move(draft, folder.Adaptation, overwrite: true);
        Durable.Flush(folder.Path);
    }

    /// <summary>The arguments as this run uses them; micro-batches are the <see cref="StepPlan"/>'s.</summary>
    public TrainingArguments Apply(TrainingArguments training) => training with
    {
        PerDeviceEvalBatchSize = EvalBatchSize ?? training.PerDeviceEvalBatchSize,
        GradientCheckpointing = GradientCheckpointing || training.GradientCheckpointing,
        LearningRate = training.LearningRate.Resolved * LearningRateFactor,
    };

    /// <summary>Makes the run need less memory when it begins anew: micro-batches half the size, twice as many to a step; at one row, gradient checkpointing.</summary>
    /// <param name="training">With what was changed before.</param>
    /// <param name="rows">Training rows.</param>
    /// <param name="cause">Where memory ran out: a sentence without its full stop.</param>
    /// <param name="beginning">Where the run begins anew.</param>
    /// <returns>What a person should know about it.</returns>
    /// <exception cref="FaultException">When nothing is left to do.</exception>
    public static Noted LessMemory(RunFolder folder, TrainingArguments training, int rows, string cause, string beginning)
    {
        var given = training.PerDeviceTrainBatchSize.Resolved;
        var size = Math.Min(Read(folder).MicroBatchSize ?? given, rows);
        if (size > 1)
        {
            var half = (size + 1) / 2;
            Change(folder, adaptation => adaptation with { MicroBatchSize = half });
            return OutOfMemory($"{cause}. From {beginning} on a micro-batch has {half} rows instead of {size}, and a step {Parts(half)} micro-batches instead of {Parts(size)}: the same {given * training.GradientAccumulationSteps} rows.");
        }
        if (training.GradientCheckpointing)
            throw new FaultException(
                "/training/max_length", training.MaxLength.ToString(), $"{cause}, though one row at a time goes through the model, with gradient checkpointing.",
                "Shorten max_length, train with the method lora or qlora, choose a smaller base model, or use a machine with more memory.");
        Change(folder, adaptation => adaptation with { GradientCheckpointing = true });
        return OutOfMemory($"{cause}. From {beginning} on there is gradient checkpointing, because a micro-batch has one row already.");

        int Parts(int ofSize) => training.GradientAccumulationSteps * ((given + ofSize - 1) / ofSize);
    }

    /// <summary>Halves the learning rate of a run that has diverged, if its specification allows it.</summary>
    /// <param name="training">With what was changed before.</param>
    /// <param name="cause">What happened, in a sentence.</param>
    /// <param name="beginning">Where the run begins anew.</param>
    /// <returns>What a person should know about it.</returns>
    /// <exception cref="FaultException">When it does not, or no longer.</exception>
    public static Noted LowerLearningRate(RunFolder folder, TrainingArguments training, string cause, string beginning)
    {
        var rollbacks = Read(folder).Rollbacks;
        var rate = training.LearningRate.Resolved;
        if (training.OnDivergence == DivergencePolicy.Fail)
            throw new FaultException(
                "/training/learning_rate", training.LearningRate.ToString(), cause, "Lower the learning rate, add warm-up steps, look at these rows, or let the run help itself: on_divergence: rollback.");
        if (rollbacks >= training.MaxRollbacks)
            throw new FaultException(
                "/training/learning_rate", training.LearningRate.ToString(), $"{cause} The run has gone back {rollbacks} times already.", "Lower the learning rate, add warm-up steps, or look at these rows.");
        Change(folder, adaptation => adaptation with { LearningRateFactor = adaptation.LearningRateFactor / 2, Rollbacks = rollbacks + 1 });
        return new()
        {
            Level = "warning",
            Code = "diverged",
            Message = FormattableString.Invariant($"{cause} The run goes back to {beginning}, with a learning rate of {rate / 2:G4} instead of {rate:G4} ({rollbacks + 1} of {training.MaxRollbacks} times)."),
        };
    }

    /// <summary>As <see cref="LessMemory"/>, of a process that could not say what it was doing: evaluations take half the rows as well.</summary>
    internal static Noted LessMemoryForAll(RunFolder folder, TrainingArguments training, int rows, string cause, string beginning)
    {
        var noted = LessMemory(folder, training, rows, cause, beginning);
        if (training.PerDeviceEvalBatchSize is not (> 1 and var evaluated))
            return noted;
        Change(folder, adaptation => adaptation with { EvalBatchSize = (evaluated + 1) / 2 });
        return noted with { Message = $"{noted.Message} Evaluations take {(evaluated + 1) / 2} rows at a time instead of {evaluated}." };
    }

    internal static Noted OutOfMemory(string message) => new() { Level = "warning", Code = "out_of_memory", Message = message };
}
