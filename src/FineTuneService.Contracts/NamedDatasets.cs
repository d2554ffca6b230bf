using System.Text.Json.Nodes;

namespace FineTuneService.Contracts;

/// <summary>The datasets that a specification names, wherever it does.</summary>
public static class NamedDatasets
{
    /// <summary>An SQL expression over a row with a <c>spec</c>: a JSON array of their names.</summary>
    public const string Sql = "jsonb_build_array(spec->'dataset'->'train', spec->'dataset'->'validation', spec->'dataset'->'test', spec->'dataset'->'replay'->'dataset') || coalesce(spec->'dataset'->'earlier', '[]')";

    /// <param name="dataset">The specification's part of this name, which nobody need have checked.</param>
    /// <returns>Their places, to be read and replaced.</returns>
    public static IReadOnlyList<JsonValue> In(JsonObject dataset)
    {
        JsonNode?[] places = [dataset["train"], dataset["validation"], dataset["test"], (dataset["replay"] as JsonObject)?["dataset"], .. dataset["earlier"] as JsonArray ?? []];
        return [.. places.OfType<JsonValue>()];
    }
}
