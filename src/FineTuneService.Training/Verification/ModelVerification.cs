using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Verification;

/// <summary>One comparison with the reference: the largest error found, and what is allowed.</summary>
public sealed record Check(string Name, double Error, double Tolerance)
{
    /// <summary>False for NaN as well.</summary>
    public bool Passed => Error <= Tolerance;
}

/// <summary>Repeats a golden case on this machine: forward pass, gradients, greedy continuation, optimizer trajectories.</summary>
public static class ModelVerification
{
    private const double Forward = 1e-5, Gradient = 1e-4, Trajectory = 1e-5;

    /// <summary>
    /// A key's bias adds the same to all scores of a query, which softmax ignores: its true gradient is 0, and what is computed is rounding noise.
    /// AdamW divides noise by noise, so such a parameter wanders differently on each machine, to no effect. It is left out where weights are compared.
    /// </summary>
    private const double Noise = 1e-6;

    /// <exception cref="FaultException">When the folder is no golden case, or the family has no such head.</exception>
    public static IReadOnlyList<Check> Run(string folder) => AdapterFolder.Is(folder) ? AdapterVerification.Run(folder) : RunModel(folder);

    private static List<Check> RunModel(string folder)
    {
        var golden = GoldenCase.Read(folder);
        var config = PretrainedConfig.Read(folder);
        var loss = new GoldenLoss(golden.Head, config.ProblemType ?? ProblemType.SingleLabelClassification);
        using var scope = NewDisposeScope();
        Batch[] batches = [.. golden.Batches.Select(batch => batch.ToBatch(golden.Head, loss.ProblemType))];
        var checks = new List<Check>();
        using (var model = Load(folder, config, golden.Head))
        {
            checks.Add(CheckForward(golden.Forward, model, batches[0], loss));
            checks.AddRange(CheckGradients(golden.Gradients, model, batches[0], loss));
            if (golden.Greedy is not null)
                checks.Add(CheckGreedy(golden.Greedy, model));
        }
        foreach (var (name, trajectory) in new[] { ("train", golden.Train), ("accumulated", golden.TrainAccumulated) })
        {
            if (trajectory is null)
                continue;
            using var model = Load(folder, config, golden.Head);
            checks.AddRange(CheckTrajectory(name, trajectory, golden.Gradients, model, batches, loss));
        }
        return checks;
    }

    private static PretrainedModel Load(string folder, PretrainedConfig config, ModelHead head)
    {
        var model = config.Create(head);
        var loaded = PretrainedFolder.LoadWeights(folder, model, seed: 0);
        if (loaded.NewKeys.Count > 0)
            throw new FaultException(folder, string.Join(", ", loaded.NewKeys), "A golden case must bring every tensor of its model.", "Make it with the reference again.");
        return model;
    }

    private static Check CheckForward(GoldenForward golden, PretrainedModel model, Batch batch, GoldenLoss loss)
    {
        using var _ = no_grad();
        model.eval();
        var logits = model.call(batch.Inputs);
        var mean = loss.Sum(logits, batch).ToDouble() / batch.Targets;
        return new("forward", Math.Max(Math.Abs(mean - golden.Loss), golden.Distance(logits)), Forward);
    }

    /// <summary>The reference keeps of each gradient its norm and its first four values: the error of both, relative to the norm.</summary>
    private static IEnumerable<Check> CheckGradients(IReadOnlyDictionary<string, GoldenGradient> golden, PretrainedModel model, Batch batch, GoldenLoss loss)
    {
        model.train();
        (loss.Sum(model.call(batch.Inputs), batch) / batch.Targets).backward();
        BackwardPass.ThrowIfFailed();
        var worst = 0.0;
        foreach (var (name, parameter) in model.named_parameters())
        {
            var gradient = parameter.grad ?? zeros_like(parameter);
            var (norm, head) = (golden[name].L2, golden[name].Head);
            var error = Math.Max(Math.Abs(gradient.norm().ToDouble() - norm), Distance(gradient, head));
            worst = Math.Max(worst, norm > Noise ? error / norm : error);
        }
        yield return new("gradients", model.named_parameters().Count() == golden.Count ? worst : double.NaN, Gradient);
    }

    /// <summary>How many tokens differ, with what was read before kept in a cache.</summary>
    private static Check CheckGreedy(GoldenGreedy golden, PretrainedModel model)
    {
        model.eval();
        using var text = new Continuation(model, [[.. golden.Prompt.Select(id => (int)id)]], CPU);
        while (text.Texts[0].Count < golden.Ids.Length)
            text.Append([(int)text.Next()[0].argmax().ToInt64()]);
        return new("greedy", text.Texts[0].Zip(golden.Ids).Count(pair => pair.First != pair.Second), 0);
    }

    private static IEnumerable<Check> CheckTrajectory(
        string name, GoldenTrajectory golden, IReadOnlyDictionary<string, GoldenGradient> gradients, PretrainedModel model, Batch[] batches, GoldenLoss goldenLoss)
    {
        model.train();
        using var optimizer = new AdamW(model, golden.WeightDecay, golden.Betas[0], golden.Betas[1], golden.Eps);
        // A step here divides by all targets together; a reference that takes the mean of the micro-batches' means weighs each target by its micro-batch.
        var share = 1.0;
        var step = new TrainingStep(
            model, (net, batch) => new(goldenLoss.Sum(net.call(batch.Inputs), batch) * (golden.TokenNormalized ? 1 : share / batch.Targets)), optimizer, golden.MaxGradNorm);
        double loss = 0, norm = 0;
        var next = 0;
        for (var done = 0; done < golden.Steps; done++)
        {
            using var scope = NewDisposeScope();
            Batch[] micro = [.. Enumerable.Range(0, golden.GradientAccumulationSteps).Select(_ => batches[next++ % batches.Length])];
            share = micro.Average(batch => batch.Targets);
            var rate = golden.Lr * LearningRates.Factor(LearningRateSchedule.Linear, done, golden.WarmupSteps, golden.Steps);
            var result = step.Run(micro, rate);
            loss = Math.Max(loss, Math.Abs(result[TrainingStep.Loss].ToDouble() - golden.Loss[done]));
            norm = Math.Max(norm, Math.Abs(result[TrainingStep.GradNorm].ToDouble() - golden.GradNorm[done]) / golden.GradNorm[done]);
        }
        yield return new($"{name}.loss", loss, Trajectory);
        yield return new($"{name}.grad_norm", norm, Gradient);
        var taught = model.named_parameters().Where(entry => gradients[entry.name].L2 > Noise);
        yield return new($"{name}.weights", taught.Max(entry => Distance(entry.parameter, golden.FinalSlices[entry.name])), Trajectory);
    }

    internal static double Distance(Tensor actual, float[] head)
    {
        var expected = tensor(head);
        return (actual.detach().flatten()[..head.Length] - expected).norm().ToDouble();
    }

    internal static double Largest(Tensor actual, float[] expected) => (actual.detach() - tensor(expected)).abs().max().ToDouble();
}

/// <summary>The loss that transformers computes for a head.</summary>
internal readonly record struct GoldenLoss(ModelHead Head, ProblemType ProblemType)
{
    public Tensor Sum(Tensor logits, Batch batch) => Head switch
    {
        ModelHead.SequenceClassification => ClassificationLoss.Sum(ProblemType, logits, batch.Labels),
        ModelHead.CausalLm => LanguageModelLoss.CausalSum(logits, batch.Labels),
        ModelHead.ReplacedTokenDetection => ReplacedTokenLoss.Sum(logits, batch.Labels),
        _ => LanguageModelLoss.Sum(logits, batch.Labels),
    };

    public double Mean(Tensor logits, Batch batch) => Sum(logits, batch).ToDouble() / batch.Targets;
}
