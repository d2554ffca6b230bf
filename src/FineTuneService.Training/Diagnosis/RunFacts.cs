using FineTuneService.Contracts;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Diagnosis;

/// <summary>What is known of a run before its first step.</summary>
/// <param name="Spec">Resolved.</param>
/// <param name="Truncated">Training rows cut to the maximal length, and the tokens lost by it.</param>
/// <param name="TrainTokens">Tokens of the training rows that are left.</param>
public sealed record RunFacts(JobSpec Spec, int TotalSteps, int TrainRows, int ValidationRows, (int Rows, long Tokens) Truncated, long TrainTokens)
{
    /// <inheritdoc cref="TrainingTask.Repeated"/>
    public (int Rows, int Contradicted) Repeated { get; init; }

    /// <summary>What the run had to change about itself before it came this far.</summary>
    public RunAdaptation Adaptation { get; init; } = new();

    /// <summary>What it is expected to need of memory, and what was free at its start, in bytes; null where nobody can tell.</summary>
    public (long Needed, long Free)? Memory { get; init; }
}
