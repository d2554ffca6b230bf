using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Memory;

/// <summary>Whether a run finds the memory that it will need.</summary>
public enum MemoryVerdict
{
    Fits,

    /// <summary>More than 90 % of what is there: anything else on the machine can spoil it.</summary>
    Tight,

    DoesNotFit,
}

/// <summary>What to write into a specification for it to need less memory.</summary>
/// <param name="Pointer">JSON pointer into the specification.</param>
public sealed record MemoryEdit(string Pointer, JsonElement Value);

/// <summary>The least change after which a run fits.</summary>
/// <param name="Edits">All of them together.</param>
/// <param name="PeakBytes">What it would need then.</param>
/// <param name="Cost">What it costs, in a sentence.</param>
public sealed record MemoryChange(IReadOnlyList<MemoryEdit> Edits, long PeakBytes, string Cost);

/// <summary>Compares a forecast with the memory that there is, and looks for a way to do with less.</summary>
public static class MemoryAdvice
{
    private const double Comfortable = 0.9;
    private const int ShortestLength = 32;

    public static MemoryVerdict Judge(long needed, long available) =>
        needed > available ? MemoryVerdict.DoesNotFit : needed > Comfortable * available ? MemoryVerdict.Tight : MemoryVerdict.Fits;

    /// <summary>The first of the changes that makes the run fit, from those that cost the least: time, then precision, then what can be learnt. Each is tried with those of its kind before it, never with less of the data.</summary>
    /// <param name="spec">Resolved, and too large.</param>
    /// <returns>Null when none is enough.</returns>
    public static MemoryChange? Smallest(JobSpec spec, PretrainedConfig config, Workload workload, long available)
    {
        foreach (var (changed, cost, edits) in Candidates(spec, config, FittingEvaluation(spec, config, workload, available)))
            if (Peak(changed, config, workload) is { } peak && Judge(peak, available) == MemoryVerdict.Fits)
                return new(edits, peak, cost);
        return null;
    }

    /// <returns>Null where the change and the model do not go together.</returns>
    private static long? Peak(JobSpec spec, PretrainedConfig config, Workload workload)
    {
        try
        {
            return MemoryForecast.Of(spec, config, workload).PeakBytes;
        }
        catch (FaultException)
        {
            return null;
        }
    }

    private static IEnumerable<(JobSpec Spec, string Cost, IReadOnlyList<MemoryEdit> Edits)> Candidates(JobSpec spec, PretrainedConfig config, int evalBatchSize)
    {
        var kept = spec; // with what each further step builds on
        var edits = new List<MemoryEdit>();
        if (evalBatchSize != spec.Training.PerDeviceEvalBatchSize)
        {
            Keep(training => training with { PerDeviceEvalBatchSize = evalBatchSize }, new MemoryEdit("/training/per_device_eval_batch_size", Json(evalBatchSize)));
            yield return (spec = kept, "An evaluation takes somewhat more time; the result is the same.", [.. edits]);
        }
        MemoryEdit[] evaluation = [.. edits];
        if (!spec.Training.GradientCheckpointing)
        {
            Keep(training => training with { GradientCheckpointing = true }, new MemoryEdit("/training/gradient_checkpointing", Json(true)));
            yield return (kept, "A step takes about a third more time; the result is the same.", [.. edits]);
        }
        foreach (var (size, pieces) in SmallerBatches(spec.Training))
        {
            var smaller = With(spec, training => training with { PerDeviceTrainBatchSize = size, GradientAccumulationSteps = pieces });
            MemoryEdit[] batch = [new("/training/per_device_train_batch_size", Json(size)), new("/training/gradient_accumulation_steps", Json(pieces))];
            yield return (smaller, "A step takes somewhat more time; it sees as many rows as before.", [.. evaluation, .. batch]);
            if (!spec.Training.GradientCheckpointing)
                yield return (smaller with { Training = smaller.Training with { GradientCheckpointing = true } }, "A step takes about a third more time; it sees as many rows as before.", [.. edits, .. batch]);
        }
        if (SmallerBatches(spec.Training).LastOrDefault() is { Size: > 0 } least)
        {
            Keep(training => training with { PerDeviceTrainBatchSize = least.Size, GradientAccumulationSteps = least.Pieces },
                new MemoryEdit("/training/per_device_train_batch_size", Json(least.Size)), new MemoryEdit("/training/gradient_accumulation_steps", Json(least.Pieces)));
        }
        if (spec.Training.MixedPrecision == MixedPrecision.No)
        {
            var shorter = With(kept, training => training with { MixedPrecision = MixedPrecision.Bf16 });
            yield return (shorter, "The model computes with 8 bits of precision; weights are trained and stored with 24 as before.", [.. edits, new("/training/mixed_precision", Json(MixedPrecision.Bf16))]);
        }
        foreach (var optimizer in new[] { OptimizerName.Adamw8bit, OptimizerName.Adafactor })
            if (spec.Training.Optim is OptimizerName.AdamwTorch or OptimizerName.AdamwTorchFused or OptimizerName.AdamwHf || (optimizer == OptimizerName.Adafactor && spec.Training.Optim is not (OptimizerName.Adafactor or OptimizerName.Sgd)))
                yield return (
                    With(kept, training => training with { Optim = optimizer }), "The optimizer remembers less exactly; the learning rate may want another look.", [.. edits, new("/training/optim", Json(optimizer))]);
        if (spec.Init == WeightsFrom.Pretrained && spec.Method is null or FullFineTuningConfig)
            yield return (kept with { Method = new LoraConfig() }, "Only an adapter is trained, which wants a higher learning rate and learns less that is new.", [.. edits, new("/method", Json<MethodConfig>(new LoraConfig()))]);
        if (spec.Init == WeightsFrom.Pretrained && spec.Method is null or FullFineTuningConfig or LoraConfig and not QloraConfig)
        {
            var qlora = InFourBits(spec.Method as LoraConfig);
            Keep(training => training, new MemoryEdit("/method", Json<MethodConfig>(qlora)));
            kept = kept with { Method = qlora };
            yield return (kept, "Only an adapter is trained, over a base whose weights are rounded to four bits.", [.. edits]);
        }
        for (var length = (spec.Training.MaxLength.Value ?? config.MaxLength) / 2; length >= ShortestLength; length /= 2)
            yield return (With(kept, training => training with { MaxLength = length }), "Longer rows are cut, and what is cut is not learnt.", [.. edits, new("/training/max_length", Json(length))]);

        void Keep(Func<TrainingArguments, TrainingArguments> change, params ReadOnlySpan<MemoryEdit> made)
        {
            kept = With(kept, change);
            edits.AddRange(made);
        }
    }

    /// <summary>The same adapter over a quantised base.</summary>
    private static QloraConfig InFourBits(LoraConfig? lora)
    {
        if (lora is null)
            return new();
        var json = JsonSerializer.SerializeToNode<MethodConfig>(lora, Catalog.Json)!;
        json["type"] = Catalog.NameOf(new QloraConfig());
        return (QloraConfig)json.Deserialize<MethodConfig>(Catalog.Json)!;
    }

    /// <summary>Rows of an evaluation that find room: halves of what was asked for, down to one.</summary>
    private static int FittingEvaluation(JobSpec spec, PretrainedConfig config, Workload workload, long available)
    {
        var size = spec.Training.PerDeviceEvalBatchSize;
        while (size > 1 && MemoryForecast.Of(With(spec, training => training with { PerDeviceEvalBatchSize = size }), config, workload) is var forecast
            && forecast.Moments.FirstOrDefault(moment => moment.Name == MemoryForecaster.Evaluation) is { } moment && Judge(moment.Bytes + MemoryForecast.ProcessFor(moment.Bytes), available) != MemoryVerdict.Fits)
            size = (size + 1) / 2;
        return size;
    }

    /// <summary>Halves, as long as whole parts make up the rows of a step.</summary>
    private static IEnumerable<(int Size, int Pieces)> SmallerBatches(TrainingArguments training)
    {
        var (size, pieces) = (training.PerDeviceTrainBatchSize.Resolved, training.GradientAccumulationSteps);
        while (size % 2 == 0)
            yield return (size /= 2, pieces *= 2);
    }

    private static JobSpec With(JobSpec spec, Func<TrainingArguments, TrainingArguments> change) => spec with { Training = change(spec.Training) };

    private static JsonElement Json<T>(T value) => JsonSerializer.SerializeToElement(value, Catalog.Json);
}
