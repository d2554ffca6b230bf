using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>One step of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), over many parameters at once.</summary>
public sealed record AdamWRule(double WeightDecay, double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8)
{
    /// <summary>Names of its state: the means of the gradient and of its square, and the steps done.</summary>
    public const string ExpAvg = "exp_avg", ExpAvgSq = "exp_avg_sq", Steps = "step";

    /// <summary>What stands in the place of a mean that lies in 8 bits.</summary>
    public const string Codes = "_codes", Magnitudes = "_absmax";

    /// <summary>In libtorch's fused kernel; on the host, <see cref="AdamWLoop"/> is faster.</summary>
    /// <param name="entries">Parameters, each with its gradient and its means, which are updated.</param>
    /// <param name="foundInf">A scalar, fp32: with 1 in it everything stays as it is.</param>
    /// <param name="divisor">Of the gradients, a scalar, fp32.</param>
    public void Apply(IReadOnlyList<(TrainedParameter Parameter, Tensor Gradient, Tensor ExpAvg, Tensor ExpAvgSq)> entries, double learningRate, Tensor foundInf, Tensor divisor)
    {
        foreach (var group in entries.GroupBy(entry => (entry.Parameter.Decays, entry.Parameter.RateScale)))
            TorchScript.AdamW(
                [.. group.Select(entry => entry.Parameter.Weight)],
                [.. group.Select(entry => entry.Gradient)],
                [.. group.Select(entry => entry.ExpAvg)],
                [.. group.Select(entry => entry.ExpAvgSq)],
                [.. group.Select(entry => entry.Parameter.State[Steps])],
                foundInf,
                divisor,
                learningRate * group.Key.RateScale, Beta1, Beta2, group.Key.Decays ? WeightDecay : 0, Epsilon);
    }

    /// <summary>A mean before the first step, fp32.</summary>
    internal static Tensor Zeros(TrainedParameter parameter) => zeros_like(parameter.Weight, ScalarType.Float32).detach();

    internal static Tensor NoSteps(TrainedParameter parameter) => zeros([], device: parameter.Weight.device);
}

/// <summary>AdamW with its state in fp32.</summary>
public sealed class AdamW : Optimizer
{
    private readonly AdamWRule _rule;

    public AdamW(PretrainedModel model, double weightDecay, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
        : this(model, new AdamWRule(weightDecay, beta1, beta2, epsilon)) { }

    public AdamW(PretrainedModel model, AdamWRule rule, double layerwiseDecay = 1) : base(model, layerwiseDecay, takesAnyForm: true)
    {
        _rule = rule;
        Remember(AdamWRule.ExpAvg, AdamWRule.Zeros);
        Remember(AdamWRule.ExpAvgSq, AdamWRule.Zeros);
        Remember(AdamWRule.Steps, AdamWRule.NoSteps);
    }

    protected override bool ObeysFoundInf => true;

    protected override bool DividesGradients => true;

    protected override void Update(IReadOnlyList<(TrainedParameter Parameter, Tensor Gradient)> active, double learningRate, Tensor foundInf, Tensor divisor)
    {
        if (IsHostLoop)
            AdamWLoop.Apply(active, _rule, learningRate, foundInf, divisor);
        else
            _rule.Apply([.. active.Select(entry => (entry.Parameter, entry.Gradient, entry.Parameter.State[AdamWRule.ExpAvg], entry.Parameter.State[AdamWRule.ExpAvgSq]))], learningRate, foundInf, divisor);
    }
}
