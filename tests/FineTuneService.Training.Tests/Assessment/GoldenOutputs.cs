using System.Text.Json;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Assessment;

/// <summary>Numbers of scipy and scikit-learn: Fixtures/assessment.</summary>
internal static class GoldenOutputs
{
    public static JsonElement Read(params string[] path) => path.Aggregate(
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Fixtures", "assessment", "golden.json"))).RootElement, (element, name) => element.GetProperty(name));

    public static ClassifierOutputs Outputs(JsonElement golden, ProblemType problem)
    {
        var logits = golden.GetProperty("logits").Deserialize<float[][]>()!;
        var targets = problem == ProblemType.SingleLabelClassification ? [.. golden.GetProperty("targets").Deserialize<float[]>()!.Select(label => new[] { label })] : golden.GetProperty("targets").Deserialize<float[][]>()!;
        return new(problem, [.. Enumerable.Range(0, logits[0].Length).Select(label => $"class {label}")], logits, targets) { Lines = [.. Enumerable.Range(2, logits.Length).Select(line => (long?)line)] };
    }

    public static ClassifierOutputs Single(string name) => Outputs(Read("single", name), ProblemType.SingleLabelClassification);
}
