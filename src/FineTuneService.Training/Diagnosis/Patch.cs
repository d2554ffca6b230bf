using System.Text.Json.Nodes;

namespace FineTuneService.Training.Diagnosis;

/// <summary>Merge patches of a specification.</summary>
internal static class Patch
{
    public static JsonObject Training(params (string Name, JsonNode Value)[] arguments) => new() { ["training"] = Object(arguments) };

    public static JsonObject Task(string type, params (string Name, JsonNode Value)[] options) => new() { ["task"] = Object([("type", type), .. options]) };

    /// <summary>As a person would write it.</summary>
    public static double Round(double value) => double.Parse(value.ToString("G2", System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture);

    private static JsonObject Object(IEnumerable<(string Name, JsonNode Value)> members) => new(members.Select(member => KeyValuePair.Create(member.Name, (JsonNode?)member.Value)));
}
