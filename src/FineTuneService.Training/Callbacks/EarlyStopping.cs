using System.Text.Json.Nodes;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Callbacks;

/// <summary>Stops when <paramref name="patience"/> evaluations in a row improved the metric by no more than <paramref name="threshold"/>.</summary>
public sealed class EarlyStopping(string metric, bool greaterIsBetter, int patience, double threshold) : TrainerCallback
{
    private double? _best;
    private int _waited;

    public override void OnEvaluate(TrainerState state, Scores scores, TrainerControl control)
    {
        var value = MetricOf(scores.Metrics, metric);
        if (_best is not { } best || (greaterIsBetter ? value - best : best - value) > threshold)
            (_best, _waited) = (value, 0);
        else if (++_waited >= patience)
        {
            control.ShouldTrainingStop = true;
            control.Note("info", "early_stopping", FormattableString.Invariant($"{metric} has not improved on {best:G6} for {_waited} evaluations; training stops at step {state.GlobalStep}."));
        }
    }

    public override JsonNode SaveState() => new JsonObject { ["best"] = _best, ["waited"] = _waited };

    public override void LoadState(JsonNode saved) => (_best, _waited) = (saved["best"]?.GetValue<double>(), saved["waited"]!.GetValue<int>());
}
