using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Optimization;

/// <summary>
/// Adafactor (Shazeer and Stern 2018, arXiv:1804.04235) with the settings of transformers' Trainer: the rate is the schedule's, there is no first moment, and of a matrix's second moment
/// only the means of rows and columns are kept.
/// </summary>
public sealed class Adafactor : Optimizer
{
    private const string Rows = "exp_avg_sq_row", Columns = "exp_avg_sq_col", Squares = "exp_avg_sq";
    private const double Epsilon = 1e-30, ClipThreshold = 1, DecayRate = -0.8;

    private readonly double _weightDecay;

    public Adafactor(PretrainedModel model, double weightDecay, double layerwiseDecay = 1) : base(model, layerwiseDecay)
    {
        _weightDecay = weightDecay;
        Remember(Rows, parameter => IsFactored(parameter) ? zeros(parameter.Weight.shape[..^1], device: parameter.Weight.device) : null);
        Remember(Columns, parameter => IsFactored(parameter) ? zeros([.. parameter.Weight.shape[..^2], parameter.Weight.shape[^1]], device: parameter.Weight.device) : null);
        Remember(Squares, parameter => IsFactored(parameter) ? null : AdamWRule.Zeros(parameter));
        Remember(AdamWRule.Steps, _ => zeros([]));
    }

    protected override void Update(IReadOnlyList<(TrainedParameter Parameter, Tensor Gradient)> active, double learningRate, Tensor foundInf, Tensor divisor)
    {
        foreach (var (parameter, gradient) in active)
        {
            using var scope = NewDisposeScope();
            var rate = learningRate * parameter.RateScale;
            var kept = 1 - Math.Pow(CountUp(parameter), DecayRate);
            var update = Normalized(parameter, gradient, kept);
            update.div_((RootMeanSquare(update) / ClipThreshold).clamp_(min: 1)).mul_(rate);
            if (parameter.Decays && _weightDecay != 0)
                parameter.Weight.add_(parameter.Weight, alpha: -_weightDecay * rate);
            parameter.Weight.sub_(update);
        }
    }

    /// <summary>The gradient over the root of its running mean square.</summary>
    private static Tensor Normalized(TrainedParameter parameter, Tensor gradient, double kept)
    {
        var square = gradient.square().add_(Epsilon);
        if (!IsFactored(parameter))
            return parameter.State[Squares].mul_(kept).add_(square, alpha: 1 - kept).rsqrt().mul_(gradient);
        var rows = parameter.State[Rows].mul_(kept).add_(square.mean([-1]), alpha: 1 - kept); // [out]
        var columns = parameter.State[Columns].mul_(kept).add_(square.mean([-2]), alpha: 1 - kept); // [in]
        var byRow = (rows / rows.mean([-1], keepdim: true)).rsqrt_().unsqueeze(-1);
        return (byRow * columns.unsqueeze(-2).rsqrt()).mul_(gradient);
    }

    private static bool IsFactored(TrainedParameter parameter) => parameter.Weight.ndim >= 2;

    private static Tensor RootMeanSquare(Tensor values) => values.norm() / Math.Sqrt(values.numel());
}
