using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;

namespace FineTuneService.Training.Callbacks;

/// <summary>A policy that watches a run and may ask it to stop; it never steps. Its state lives in the checkpoint.</summary>
public abstract class TrainerCallback
{
    /// <summary>Key of its state in <c>trainer_state.json</c>.</summary>
    public string Name => GetType().Name;

    public virtual void OnStepEnd(TrainerState state, TrainerControl control) { }

    public virtual void OnEvaluate(TrainerState state, IReadOnlyDictionary<string, double> metrics, TrainerControl control) { }

    public virtual JsonNode? SaveState() => null;

    public virtual void LoadState(JsonNode saved) { }
}

/// <summary>What callbacks may ask of the loop.</summary>
public sealed class TrainerControl(Action<TrainingEvent> emit)
{
    /// <summary>Training ends after this step, with a final checkpoint.</summary>
    public bool ShouldTrainingStop { get; set; }

    public void Note(string level, string code, string message) => emit(new Noted { Level = level, Code = code, Message = message });
}
