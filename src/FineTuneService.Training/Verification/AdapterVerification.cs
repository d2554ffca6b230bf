using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Verification;

/// <summary>The content of an adapter's <c>golden.json</c>: what PEFT computed with it over the case named <see cref="Base"/>, a folder beside it.</summary>
public sealed record GoldenAdapter
{
    public required string Base { get; init; }
    public required long TrainableParameters { get; init; }

    /// <summary>PEFT's names in memory, with the adapter's name <c>default</c> in them.</summary>
    public required IReadOnlyList<string> Trainable { get; init; }
    public required GoldenAdapterForward Forward { get; init; }
    public required GoldenAdapterTraining Train { get; init; }
    public required double MergedAfterTrainingLoss { get; init; }
    public required IReadOnlyDictionary<string, float[]> MergedSlices { get; init; }
}

/// <param name="FirstLogits">The first values of batch 0's logits.</param>
public sealed record GoldenAdapterForward(double Loss, float[] FirstLogits);

public sealed record GoldenAdapterTraining(
    double Lr, double[] Betas, double Eps, double WeightDecay, int WarmupSteps, int Steps, double MaxGradNorm, IReadOnlyList<string> NoDecay, double[] Loss, double[] GradNorm, IReadOnlyDictionary<string, float[]> FinalSlices);

/// <summary>Repeats an adapter's golden case: what is trained, forward pass, ten steps, the merged model, and that merging can be undone.</summary>
public static class AdapterVerification
{
    private const double Forward = 1e-5, Trajectory = 1e-5, DoraTrajectory = 5e-5, Norm = 1e-4;

    /// <exception cref="FaultException">When the folder is no golden case, or its base is missing.</exception>
    public static IReadOnlyList<Check> Run(string folder)
    {
        var golden = GoldenCase.Parse<GoldenAdapter>(folder);
        var baseFolder = Path.Combine(folder, "..", golden.Base);
        var goldenBase = GoldenCase.Read(baseFolder);
        var config = PretrainedConfig.Read(baseFolder);
        var loss = new GoldenLoss(goldenBase.Head, config.ProblemType ?? ProblemType.SingleLabelClassification);
        using var scope = NewDisposeScope();
        Batch[] batches = [.. goldenBase.Batches.Select(batch => batch.ToBatch(goldenBase.Head, loss.ProblemType))];
        using var model = config.Create(goldenBase.Head);
        var method = new LoraConfig { Adapter = folder };
        var adapter = (LoraAdapter)method.Prepare(model, goldenBase.Head, baseFolder, seed: 0);
        var trajectory = AdapterFolder.Read(folder).Config.UseDora ? DoraTrajectory : Trajectory;
        return
        [
            CheckTrained(golden, adapter),
            CheckForward(golden.Forward, model, batches[0], loss),
            .. CheckTraining(golden.Train, adapter, model, batches, loss, trajectory),
            .. CheckMerged(golden, adapter, model, batches[0], loss, trajectory),
        ];
    }

    private static Check CheckTrained(GoldenAdapter golden, LoraAdapter adapter)
    {
        var ours = adapter.Tensors.Select(entry => InMemory(entry.Key)).ToHashSet();
        var different = ours.Except(golden.Trainable).Concat(golden.Trainable.Except(ours)).Count();
        return new("trained", different + Math.Abs(adapter.Tensors.Sum(entry => entry.Tensor.numel()) - golden.TrainableParameters), 0);
    }

    private static Check CheckForward(GoldenAdapterForward golden, PretrainedModel model, Batch batch, GoldenLoss loss)
    {
        using var _ = no_grad();
        model.eval();
        var logits = model.call(batch.Inputs);
        var error = Math.Abs(loss.Mean(logits, batch) - golden.Loss);
        return new("forward", Math.Max(error, ModelVerification.Largest(logits.flatten()[..golden.FirstLogits.Length], golden.FirstLogits)), Forward);
    }

    private static IEnumerable<Check> CheckTraining(GoldenAdapterTraining golden, LoraAdapter adapter, PretrainedModel model, Batch[] batches, GoldenLoss goldenLoss, double tolerance)
    {
        model.train();
        using var optimizer = new AdamW(model, golden.WeightDecay, golden.Betas[0], golden.Betas[1], golden.Eps);
        var step = new TrainingStep(model, (net, batch) => new(goldenLoss.Sum(net.call(batch.Inputs), batch)), optimizer, golden.MaxGradNorm);
        double loss = 0, norm = 0;
        for (var done = 0; done < golden.Steps; done++)
        {
            using var scope = NewDisposeScope();
            var rate = golden.Lr * LearningRates.Factor(LearningRateSchedule.Linear, done, golden.WarmupSteps, golden.Steps);
            var result = step.Run([batches[done % batches.Length]], rate);
            loss = Math.Max(loss, Math.Abs(result[TrainingStep.Loss].ToDouble() - golden.Loss[done]));
            norm = Math.Max(norm, Math.Abs(result[TrainingStep.GradNorm].ToDouble() - golden.GradNorm[done]) / golden.GradNorm[done]);
        }
        yield return new("train.loss", loss, tolerance);
        yield return new("train.grad_norm", norm, Norm);
        yield return new("train.weights", adapter.Tensors.Max(entry => ModelVerification.Distance(entry.Tensor, golden.FinalSlices[InMemory(entry.Key)])), tolerance);
    }

    private static IEnumerable<Check> CheckMerged(GoldenAdapter golden, LoraAdapter adapter, PretrainedModel model, Batch batch, GoldenLoss loss, double tolerance)
    {
        using var _ = no_grad();
        model.eval();
        var apart = model.call(batch.Inputs);
        adapter.Merge();
        var merged = model.call(batch.Inputs);
        adapter.Unmerge();
        yield return new("unmerged", (model.call(batch.Inputs) - apart).abs().max().ToDouble(), Forward);
        adapter.MergeAndUnload();
        yield return new("merged.loss", Math.Abs(loss.Mean(merged, batch) - golden.MergedAfterTrainingLoss), tolerance);
        var weights = model.state_dict();
        var isWhole = golden.MergedSlices.Keys.All(weights.ContainsKey);
        yield return new("merged.weights", isWhole ? golden.MergedSlices.Max(slice => ModelVerification.Distance(weights[slice.Key], slice.Value)) : double.NaN, tolerance);
    }

    /// <summary>PEFT's name of a parameter in memory, from that in the file.</summary>
    private static string InMemory(string key)
    {
        var parts = key.Split('.');
        var update = Array.FindIndex(parts, part => part.StartsWith("lora_", StringComparison.Ordinal));
        return update < 0
            ? string.Join('.', [.. parts[..^1], "modules_to_save", "default", parts[^1]])
            : string.Join('.', [.. parts[..(update + 1)], "default", "weight"]);
    }
}
