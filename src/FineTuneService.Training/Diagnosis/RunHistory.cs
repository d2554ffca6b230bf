using System.Text.Json.Nodes;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Diagnosis;

/// <summary>What a run has shown so far.</summary>
/// <param name="Log">As in <c>trainer_state.json</c>.</param>
/// <param name="Scores">Of the newest evaluation; null before the first.</param>
/// <param name="HasEnded">After the last step.</param>
public sealed record RunHistory(RunFacts Facts, IReadOnlyList<JsonObject> Log, Scores? Scores, bool HasEnded)
{
    public Curve TrainLoss => field ??= Of("loss");

    /// <summary>Without single spikes.</summary>
    public Curve SmoothLoss => field ??= TrainLoss.Median(1);

    /// <summary>Of the evaluations after the first step.</summary>
    public Curve EvalLoss => field ??= Of("eval_loss", fromStep: 1);

    public int Step => Log.Count == 0 ? 0 : Log[^1]["step"]!.GetValue<int>();

    /// <summary>The cross-entropy of knowing nothing but the classes' number; null where there are no classes.</summary>
    public double? LossOfChance => Scores?.Labels is { Length: > 1 } labels ? Math.Log(labels.Length) : null;

    /// <summary>How the specification would say that the run ends at a step: in steps if it counts them, otherwise in epochs.</summary>
    public RunLength EndingAt(int step) => Facts.Spec.Training is { MaxSteps: <= 0, NumTrainEpochs.Resolved: var epochs }
        ? new("num_train_epochs", Math.Max(0.1, Math.Ceiling(10 * Math.Round(epochs * step / Facts.TotalSteps, 6)) / 10), "epochs")
        : new("max_steps", Math.Max(1, step), "steps");

    public Curve Of(string metric, int fromStep = 0)
    {
        var points = Log.Where(line => line[metric] is not null && line["step"]!.GetValue<int>() >= fromStep).ToList();
        return new([.. points.Select(line => line["step"]!.GetValue<int>())], [.. points.Select(line => line[metric]!.GetValue<double>())]);
    }
}

/// <param name="Argument">Of the specification's <c>training</c>.</param>
public sealed record RunLength(string Argument, double Value, string Unit)
{
    public override string ToString() => System.FormattableString.Invariant($"{Value} {Unit}");
}
