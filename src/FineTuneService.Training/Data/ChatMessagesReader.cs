using System.Text.Json;
using System.Text.Json.Nodes;

namespace FineTuneService.Training.Data;

/// <summary>
/// Reads a cell with messages: OpenAI's <c>{role, content, weight?}</c>, where content may be a list of text parts, or ShareGPT's <c>{from, value}</c>;
/// a list, or its JSON text as tables hold it.
/// </summary>
internal static class ChatMessagesReader
{
    private static readonly string[] Roles = ["system", "developer", "user", "assistant", "tool", "function"];

    /// <summary>What ShareGPT's collections call a role.</summary>
    private static readonly Dictionary<string, string> ShareGptRoles = new()
    {
        ["human"] = "user",
        ["gpt"] = "assistant",
        ["chatgpt"] = "assistant",
        ["bot"] = "assistant",
        ["model"] = "assistant",
        ["function_call"] = "assistant",
        ["observation"] = "tool",
    };

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32 };

    public static bool IsList(object? cell) => cell is JsonElement { ValueKind: JsonValueKind.Array };

    /// <summary>A list as it is, or read from a text that looks like one; null for anything else.</summary>
    public static JsonElement? List(object? cell)
    {
        if (cell is JsonElement { ValueKind: JsonValueKind.Array } list)
            return list;
        if (cell is not string text || !text.AsSpan().TrimStart().StartsWith("["))
            return null;
        try
        {
            using var document = JsonDocument.Parse(text, Strict);
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>A message of OpenAI's form, its content as one text: as <see cref="Read"/> hands it to the template.</summary>
    public static JsonObject Plain(JsonElement message) =>
        Message(message, message.GetProperty("role").GetString()!, "role", "content") ?? throw new ArgumentException("The message has no text.", nameof(message));

    /// <returns>Null after a fault.</returns>
    public static ChatMessages? Read(object? cell, string column, long line, RowLedger ledger)
    {
        if (List(cell) is not { } list)
            return Fault(ledger, line, cell, $"The column {column} holds no list of messages.", """Write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].""");
        if (list.GetArrayLength() == 0)
            return Fault(ledger, line, "[]", "There are no messages.", "Give at least one of the user and one of the assistant, or leave the row out.");
        var messages = new JsonArray();
        var (roles, weights) = (new List<string>(), new List<float>());
        foreach (var (index, given) in list.EnumerateArray().Index())
        {
            if (given.ValueKind != JsonValueKind.Object)
                return Fault(ledger, line, given, $"Message {index} is no object.", """Write {"role": "…", "content": "…"}.""");
            var (roleName, contentName) = given.TryGetProperty("from", out _) && !given.TryGetProperty("role", out _) ? ("from", "value") : ("role", "content");
            var role = given.TryGetProperty(roleName, out var named) && named.ValueKind == JsonValueKind.String ? named.GetString()! : "";
            role = roleName == "from" ? ShareGptRoles.GetValueOrDefault(role, role) : role;
            if (!Roles.Contains(role))
                return Fault(ledger, line, named.ValueKind == JsonValueKind.Undefined ? null : named, $"Message {index} has no role that is known.", $"Give one of: {string.Join(", ", roleName == "from" ? Roles.Concat(ShareGptRoles.Keys) : Roles)}.");
            var weight = 1f;
            if (given.TryGetProperty("weight", out var weighed) && weighed.ValueKind != JsonValueKind.Null
                && !(weighed.ValueKind == JsonValueKind.Number && weighed.TryGetSingle(out weight) && weight is >= 0 and <= 1))
                return Fault(ledger, line, weighed, $"The weight of message {index} is no number from 0 to 1.", "Give 0 for a message that is not to be learnt, 1 otherwise.");
            if (Message(given, role, roleName, contentName) is not { } message)
                return Fault(ledger, line, null, $"Message {index} has no text.", "Give its content as a string or as parts of type text; other parts than text cannot be learnt here.");
            messages.Add(message);
            roles.Add(role);
            weights.Add(weight);
        }
        return new(JsonSerializer.SerializeToElement(messages), roles, weights);
    }

    /// <summary>Role and content first; other members follow as they are, but for the weight, which is ours to read.</summary>
    private static JsonObject? Message(JsonElement given, string role, string roleName, string contentName)
    {
        var calls = given.TryGetProperty("tool_calls", out _) || given.TryGetProperty("function_call", out _);
        var content = given.TryGetProperty(contentName, out var written) ? Text(written) : null;
        if (content is null && !(calls && written.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null))
            return null;
        var message = new JsonObject { ["role"] = role, ["content"] = content };
        foreach (var member in given.EnumerateObject())
            if (member.Name != roleName && member.Name != contentName && member.Name != "weight")
                message[member.Name] = JsonNode.Parse(member.Value.GetRawText());
        return message;
    }

    private static string? Text(JsonElement content) => content.ValueKind switch
    {
        JsonValueKind.String => content.GetString(),
        JsonValueKind.Array => content.EnumerateArray().Select(Part).ToArray() is var parts && parts.All(part => part is not null) ? string.Concat(parts) : null,
        _ => null,
    };

    private static string? Part(JsonElement part) => part.ValueKind switch
    {
        JsonValueKind.String => part.GetString(),
        JsonValueKind.Object when part.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String => text.GetString(),
        _ => null,
    };

    private static ChatMessages? Fault(RowLedger ledger, long line, object? value, string message, string remedy)
    {
        ledger.Fault(line, value, message, remedy);
        return null;
    }
}
