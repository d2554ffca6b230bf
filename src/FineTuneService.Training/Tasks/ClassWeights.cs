using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.Tasks;

/// <summary>How much a row counts, by its class: <c>"balanced"</c>, a list in the order of the labels, or numbers by label.</summary>
internal static class ClassWeights
{
    private const string Pointer = "/task/class_weights", Balanced = "balanced";

    /// <summary>What can be said without the data.</summary>
    public static void Check(JsonElement given, FaultList faults)
    {
        IEnumerable<JsonElement>? numbers = given.ValueKind switch
        {
            JsonValueKind.Array => given.EnumerateArray(),
            JsonValueKind.Object => given.EnumerateObject().Select(member => member.Value),
            JsonValueKind.String when given.ValueEquals(Balanced) => [],
            _ => null,
        };
        faults.Require(
            numbers?.All(number => number.ValueKind == JsonValueKind.Number && number.TryGetSingle(out var weight) && weight > 0 && float.IsFinite(weight)) == true, Pointer, given.GetRawText(),
            "Weights are numbers above 0.", """Give "balanced", a list with a number for each label, or an object {"label": 2.5}.""");
    }

    /// <returns>A weight for each class.</returns>
    /// <exception cref="FaultException">When weights and labels do not fit.</exception>
    public static float[] Of(JsonElement given, TokenizedDataset data)
    {
        var faults = new FaultList();
        Check(given, faults);
        faults.ThrowIfAny();
        return given.ValueKind switch
        {
            JsonValueKind.Array => InOrder([.. given.EnumerateArray().Select(weight => weight.GetSingle())], data.Facts.Labels),
            JsonValueKind.Object => ByLabel(given, data.Facts.Labels),
            _ => Balance(data.Facts.Labels.Count, data.Train),
        };
    }

    private static float[] InOrder(float[] weights, IReadOnlyList<string> labels) => weights.Length == labels.Count ? weights : throw new FaultException(
        Pointer, $"{weights.Length} numbers", $"There are {labels.Count} labels: {string.Join(", ", labels.Take(20))}.", "Give a number for each, in this order.");

    /// <summary>A label that is not named counts 1.</summary>
    private static float[] ByLabel(JsonElement given, IReadOnlyList<string> labels)
    {
        var faults = new FaultList();
        var weights = labels.Select(_ => 1f).ToArray();
        var ids = labels.Index().ToDictionary(label => label.Item, label => label.Index);
        foreach (var member in given.EnumerateObject())
            if (ids.TryGetValue(member.Name, out var id))
                weights[id] = member.Value.GetSingle();
            else
                faults.Add($"{Pointer}/{JsonContract.Escape(member.Name)}", member.Name, "No training row has this label.", $"Known: {string.Join(", ", labels.Take(20))}.");
        faults.ThrowIfAny();
        return weights;
    }

    /// <summary>scikit-learn's: rows / (classes · rows of the class), so that all classes count the same.</summary>
    private static float[] Balance(int classes, TokenRows rows)
    {
        var counts = new int[classes];
        for (var row = 0; row < rows.Count; row++)
            counts[(int)rows.Values(row)[0]]++;
        return [.. counts.Select(count => (float)rows.Count / (classes * Math.Max(1, count)))];
    }
}
