using System.Globalization;
using System.Text.Json.Nodes;

namespace FineTuneService.Api.Sweeps;

/// <summary>RFC 6901, as far as it is needed to write into a specification.</summary>
internal static class JsonPointer
{
    /// <summary>No field of a specification lies deeper.</summary>
    private const int MostTokens = 8;

    /// <returns>Null when it is no pointer to a field.</returns>
    public static string[]? Tokens(string pointer) =>
        pointer.StartsWith('/') && pointer[1..].Split('/') is { Length: <= MostTokens } tokens
            ? [.. tokens.Select(token => token.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal))]
            : null;

    public static bool IsWithin(string pointer, string outer) => pointer.StartsWith(outer, StringComparison.Ordinal) && (pointer.Length == outer.Length || pointer[outer.Length] == '/');

    /// <summary>Puts a value into a specification; what lacks on the way there is made.</summary>
    /// <returns>False when something is in the way: a value that has no members, or a list that is shorter.</returns>
    public static bool TryPut(JsonObject spec, string[] tokens, JsonNode? value)
    {
        JsonNode at = spec;
        foreach (var (depth, token) in tokens[..^1].Index())
        {
            var next = at is JsonArray list ? Element(list, token) is { } index ? list[index] : null : at[token];
            if (next is null && at is JsonObject parent)
                parent[token] = next = new JsonObject();
            else if (next is JsonValue shorthand && depth == 0 && token is "task" or "method" && shorthand.TryGetValue<string>(out var type))
                at[token] = next = new JsonObject { ["type"] = type };
            if (next is not (JsonObject or JsonArray))
                return false;
            at = next;
        }
        if (at is JsonObject last)
            last[tokens[^1]] = value;
        else if (at is JsonArray array && Element(array, tokens[^1]) is { } index)
            array[index] = value;
        else
            return false;
        return true;
    }

    private static int? Element(JsonArray list, string token) =>
        int.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < list.Count ? index : null;
}
