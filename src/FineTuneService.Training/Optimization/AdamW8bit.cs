using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>
/// AdamW whose two means lie in 8 bits (Dettmers et al. 2021, arXiv:2110.02861): a code for each value and a magnitude for each block of them. A step is taken in fp32: on the host block by block, elsewhere one parameter after the other.
/// As with bitsandbytes under transformers, small parameters and tables of embeddings keep fp32.
/// </summary>
public sealed class AdamW8bit : Optimizer
{
    internal const long Smallest = 4096;

    private readonly AdamWRule _rule;

    /// <param name="mayLoop">Whether the host is to have its own loop; false: it steps as a GPU does.</param>
    public AdamW8bit(PretrainedModel model, AdamWRule rule, double layerwiseDecay = 1, bool mayLoop = true) : base(model, layerwiseDecay, takesAnyForm: mayLoop)
    {
        _rule = rule;
        foreach (var mean in new[] { AdamWRule.ExpAvg, AdamWRule.ExpAvgSq })
        {
            Remember(mean, parameter => IsExact(parameter) ? AdamWRule.Zeros(parameter) : null);
            Remember(mean + AdamWRule.Codes, parameter => IsExact(parameter) ? null : full([parameter.Weight.numel()], MapOf(mean).Zero, ScalarType.Byte, parameter.Weight.device));
            Remember(mean + AdamWRule.Magnitudes, parameter => IsExact(parameter) ? null : zeros([DynamicMap.Blocks(parameter.Weight.numel())], device: parameter.Weight.device));
        }
        Remember(AdamWRule.Steps, AdamWRule.NoSteps);
    }

    protected override bool DividesGradients => true;

    protected override void Update(IReadOnlyList<(TrainedParameter Parameter, Tensor Gradient)> active, double learningRate, Tensor foundInf, Tensor divisor)
    {
        if (IsHostLoop)
        {
            AdamWLoop.Apply(active, _rule, learningRate, foundInf, divisor);
            return;
        }
        _rule.Apply(
            [.. active.Where(entry => IsExact(entry.Parameter)).Select(entry => (entry.Parameter, entry.Gradient, entry.Parameter.State[AdamWRule.ExpAvg], entry.Parameter.State[AdamWRule.ExpAvgSq]))],
            learningRate, foundInf, divisor);
        foreach (var (parameter, gradient) in active.Where(entry => !IsExact(entry.Parameter)))
        {
            using var scope = NewDisposeScope();
            var (mean, square) = (Read(parameter, AdamWRule.ExpAvg), Read(parameter, AdamWRule.ExpAvgSq));
            _rule.Apply([(parameter, gradient, mean, square)], learningRate, foundInf, divisor);
            Write(parameter, AdamWRule.ExpAvg, mean);
            Write(parameter, AdamWRule.ExpAvgSq, square);
        }
    }

    /// <summary>A mean of squares has no sign.</summary>
    private static DynamicMap MapOf(string mean) => mean == AdamWRule.ExpAvg ? DynamicMap.Signed : DynamicMap.Unsigned;

    private static Tensor Read(TrainedParameter parameter, string mean) =>
        MapOf(mean).Dequantize(parameter.State[mean + AdamWRule.Codes], parameter.State[mean + AdamWRule.Magnitudes]).view(parameter.Weight.shape);

    private static void Write(TrainedParameter parameter, string mean, Tensor values)
    {
        var (codes, magnitudes) = MapOf(mean).Quantize(values);
        parameter.State[mean + AdamWRule.Codes].copy_(codes);
        parameter.State[mean + AdamWRule.Magnitudes].copy_(magnitudes);
    }

    private static bool IsExact(TrainedParameter parameter) => parameter.Weight.numel() < Smallest || parameter.IsTable;
}
