using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Callbacks;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Diagnosis;

/// <summary>Reads the curves after each evaluation and at the end, and tells what they show: each finding when it is first seen, and again when it has become worse.</summary>
public sealed class RunDiagnosis(RunFacts facts) : TrainerCallback
{
    /// <summary>Each looks for one thing, and tells it or null.</summary>
    private static readonly Func<RunHistory, Finding?>[] Rules =
    [
        Data.TooSmall, Data.Truncation, Data.LabelNoise, Memory.Pressure,
        StepSize.TooHigh, StepSize.TooLow,
        Fit.Overfitting, Fit.Underfitting, Gain.StopNow,
        Classes.Dead, Classes.Dominated,
        Forgetting.Told,
    ];

    private readonly Dictionary<string, FindingSeverity> _told = [];
    private Scores? _scores;

    /// <summary>All that these numbers show.</summary>
    public static IEnumerable<Finding> Of(RunHistory history)
    {
        var findings = Rules.Select(rule => rule(history)).OfType<Finding>().ToList();
        // What a wrong learning rate does is not told as something else again.
        return findings.Any(finding => finding.Code is StepSize.TooHighCode or StepSize.TooLowCode)
            ? findings.Where(finding => finding.Code is not (Fit.UnderfittingCode or Classes.DeadCode or Classes.DominatedCode))
            : findings;
    }

    public override void OnEvaluate(TrainerState state, Scores scores, TrainerControl control)
    {
        _scores = scores;
        Tell(state, control, hasEnded: false);
    }

    public override void OnTrainEnd(TrainerState state, TrainerControl control) => Tell(state, control, hasEnded: true);

    public override JsonNode SaveState() => JsonSerializer.SerializeToNode(_told.ToDictionary(told => told.Key, told => (int)told.Value))!;

    public override void LoadState(JsonNode saved)
    {
        foreach (var (code, severity) in saved.AsObject())
            _told[code] = (FindingSeverity)severity!.GetValue<int>();
    }

    private void Tell(TrainerState state, TrainerControl control, bool hasEnded)
    {
        foreach (var finding in Of(new(facts, state.LogHistory, _scores, hasEnded)).Where(finding => !_told.TryGetValue(finding.Code, out var told) || finding.Severity > told))
        {
            _told[finding.Code] = finding.Severity;
            control.Tell(finding);
        }
    }
}
