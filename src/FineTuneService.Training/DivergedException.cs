using FineTuneService.Training.Data;
using FineTuneService.Training.Optimization;

namespace FineTuneService.Training;

/// <summary>A step's numbers are none. It was not taken, so the weights are those before it.</summary>
/// <param name="microBatches">Rows of the step's micro-batches.</param>
internal sealed class DivergedException(Divergence found, IReadOnlyList<int[]> microBatches, ExampleSet rows) : Exception(Describe(found, microBatches, rows))
{
    private const int MostRows = 64;

    /// <summary>The step that could not be taken.</summary>
    public int Step { get; } = found.Step;

    private static string Describe(Divergence found, IReadOnlyList<int[]> microBatches, ExampleSet rows) => found.MicroBatch is { } at
        ? $"Training diverged at step {found.Step}: the loss of micro-batch {at + 1} of {microBatches.Count} is no number ({Name(microBatches[at], rows)})."
        : $"Training diverged at step {found.Step}: the norm of its gradients is no number ({Name([.. microBatches.SelectMany(batch => batch)], rows)}).";

    private static string Name(int[] chosen, ExampleSet rows)
    {
        var lines = chosen.Select(rows.LineOf).ToList();
        var numbers = lines.All(line => line is not null) ? lines.Select(line => line!.Value) : chosen.Select(row => row + 1L);
        return $"{(lines.Contains(null) ? "training rows, as they were kept," : "training file, lines")} {string.Join(", ", numbers.Take(MostRows))}{(chosen.Length > MostRows ? ", …" : "")}";
    }
}
