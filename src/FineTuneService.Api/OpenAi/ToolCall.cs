using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace FineTuneService.Api.OpenAi;

/// <summary>A function that the model wants to be called.</summary>
/// <param name="Index">Which call of the answer it is; only in a stream.</param>
public sealed record ToolCall(string Id, CalledFunction Function, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Index)
{
    public string Type => "function";

    /// <summary>The message as chat templates read it: they write a call's arguments as JSON themselves, where OpenAI's clients send back the text that they were given.</summary>
    public static JsonElement WithPlainArguments(JsonElement message)
    {
        if (message.ValueKind != JsonValueKind.Object || !message.TryGetProperty("tool_calls", out var calls) || calls.ValueKind != JsonValueKind.Array)
            return message;
        if (Parse(message.GetRawText()) is not { } plain)
            return message;
        foreach (var call in plain["tool_calls"]!.AsArray().OfType<JsonObject>())
            if (call["function"] is JsonObject function && TextOf(function["arguments"]) is { } json && Parse(json) is { } arguments)
                function["arguments"] = arguments;
        return JsonSerializer.SerializeToElement(plain);
    }

    private static string? TextOf(JsonNode? node)
    {
        try
        {
            return node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
        }
        catch (InvalidOperationException) // an unpaired surrogate escape
        {
            return null;
        }
    }

    private static JsonObject? Parse(string json)
    {
        try
        {
            return JsonNode.Parse(json, documentOptions: new() { AllowDuplicateProperties = false }) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <param name="Arguments">As JSON text, which the model may have got wrong.</param>
public sealed record CalledFunction(string Name, string Arguments);
