using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Callbacks;

/// <summary>A policy that watches a run and may ask it to stop; it never steps. Its state lives in the checkpoint.</summary>
public abstract class TrainerCallback
{
    /// <summary>Key of its state in <c>trainer_state.json</c>.</summary>
    public string Name => GetType().Name;

    /// <summary>The rate of the next step, where a callback decides it.</summary>
    /// <param name="planned">By the schedule, and by the callbacks before this one.</param>
    public virtual double LearningRate(double planned) => planned;

    public virtual void OnStepEnd(TrainerState state, TrainerControl control) { }

    public virtual void OnEvaluate(TrainerState state, Scores scores, TrainerControl control) { }

    /// <summary>After the last step, and the last checkpoint.</summary>
    public virtual void OnTrainEnd(TrainerState state, TrainerControl control) { }

    public virtual JsonNode? SaveState() => null;

    public virtual void LoadState(JsonNode saved) { }

    /// <exception cref="FaultException">When an evaluation gives no such metric.</exception>
    internal static double MetricOf(IReadOnlyDictionary<string, double> metrics, string name) => metrics.TryGetValue(name, out var value) ? value : throw new FaultException(
        "/training/metric_for_best_model", name, "The task has no such metric.", $"Choose one of: {string.Join(", ", metrics.Keys)}.");
}

/// <summary>What callbacks may ask of the loop.</summary>
public sealed class TrainerControl(Action<TrainingEvent> emit)
{
    /// <summary>Training ends after this step, with a final checkpoint.</summary>
    public bool ShouldTrainingStop { get; set; }

    public void Note(string level, string code, string message) => emit(new Noted { Level = level, Code = code, Message = message });

    public void Tell(Finding finding) => emit(new Diagnosed { Finding = finding, Step = finding.ToStep });
}
