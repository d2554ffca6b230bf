using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Callbacks;

/// <summary>Lowers the learning rate when a metric has not improved for a while; the rules of PyTorch's scheduler of this name.</summary>
/// <param name="rate">The first.</param>
public sealed class ReduceLrOnPlateau(string metric, bool greaterIsBetter, double rate, LearningRateOptions options) : TrainerCallback
{
    private readonly double _factor = options.Factor ?? 0.1, _threshold = options.Threshold ?? 1e-4, _minimum = options.MinLr ?? 0, _least = options.Eps ?? 1e-8;
    private double _rate = rate;
    private double? _best;
    private int _waited, _cooldown;

    public override double LearningRate(double planned) => _rate;

    public override void OnEvaluate(TrainerState state, Scores scores, TrainerControl control)
    {
        var value = MetricOf(scores.Metrics, metric);
        (_best, _waited) = IsBetter(value) ? (value, 0) : (_best, _waited + 1);
        if (_cooldown > 0)
            (_cooldown, _waited) = (_cooldown - 1, 0);
        if (_waited <= (options.Patience ?? 10))
            return;
        (_cooldown, _waited) = (options.Cooldown ?? 0, 0);
        var lower = Math.Max(_rate * _factor, _minimum);
        if (_rate - lower <= _least)
            return;
        _rate = lower;
        control.Note("info", "learning_rate_reduced", FormattableString.Invariant($"{metric} has not improved on {_best:G6}; the learning rate is {_rate:G4} from step {state.GlobalStep + 1} on."));
    }

    public override JsonNode SaveState() => new JsonObject { ["rate"] = _rate, ["best"] = _best, ["waited"] = _waited, ["cooldown"] = _cooldown };

    public override void LoadState(JsonNode saved) =>
        (_rate, _best, _waited, _cooldown) = (saved["rate"]!.GetValue<double>(), saved["best"]?.GetValue<double>(), saved["waited"]!.GetValue<int>(), saved["cooldown"]!.GetValue<int>());

    /// <summary>NaN is never better, as in PyTorch.</summary>
    private bool IsBetter(double value)
    {
        var relative = options.ThresholdMode != PlateauThreshold.Abs;
        var best = _best ?? (greaterIsBetter ? double.NegativeInfinity : double.PositiveInfinity);
        return greaterIsBetter
            ? value > (relative ? best * (1 + _threshold) : best + _threshold)
            : value < (relative ? best * (1 - _threshold) : best - _threshold);
    }
}
