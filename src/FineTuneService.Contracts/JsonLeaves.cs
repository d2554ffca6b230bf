using System.Text.Json.Nodes;

namespace FineTuneService.Contracts;

/// <summary>What a JSON document says, flat, as trackers of experiments want it: <c>training.learning_rate</c>, and a list as one value. Null says nothing.</summary>
public static class JsonLeaves
{
    public static IEnumerable<(string Name, JsonNode Value)> Of(JsonNode? node, string name = "") => node switch
    {
        JsonObject members => members.SelectMany(member => Of(member.Value, name.Length == 0 ? member.Key : $"{name}.{member.Key}")),
        null => [],
        _ => [(name, node)],
    };
}
