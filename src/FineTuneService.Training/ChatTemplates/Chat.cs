using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates;

/// <summary>A request as values of the template's language: converted once, rendered as often as the mask needs.</summary>
internal sealed record Chat(ListValue Messages, object Tools, object Documents, IReadOnlyList<(string Name, object Value)> Variables, DateTimeOffset Now)
{
    /// <exception cref="FaultException">When messages are no array of objects, or a string holds half of a surrogate pair.</exception>
    public static Chat From(ChatRequest request)
    {
        if (request.Messages.ValueKind != JsonValueKind.Array || request.Messages.EnumerateArray().Any(message => message.ValueKind != JsonValueKind.Object))
            throw new FaultException("/messages", request.Messages.ValueKind.ToString(), "A conversation is a list of objects.", """Write messages as [{"role": "user", "content": "…"}, …].""");
        return new(
            (ListValue)JsonValues.Read(request.Messages, "/messages"),
            request.Tools is { } tools ? JsonValues.Read(tools, "/tools") : None.Value,
            request.Documents is { } documents ? JsonValues.Read(documents, "/documents") : None.Value,
            [.. request.Variables.Select(variable => (variable.Key, JsonValues.Read(variable.Value, "/" + variable.Key)))],
            request.Clock.GetLocalNow());
    }

    /// <summary>The first <paramref name="count"/> messages.</summary>
    public Chat Prefix(int count) => this with { Messages = new(Messages.Items[..count]) };
}
