using System.Text.Json;

namespace FineTuneService.Training.Data;

/// <summary>What a model is asked, and what it shall answer.</summary>
/// <param name="Line">In its file.</param>
public abstract record Exchange(long Line)
{
    /// <summary>What it says, for finding equal ones.</summary>
    public abstract string Text { get; }
}

/// <summary>Plain texts, which are joined as they stand.</summary>
public sealed record TextExchange(long Line, string Prompt, string Completion) : Exchange(Line)
{
    public override string Text => $"{Prompt}\0{Completion}";
}

/// <summary>A conversation, which a chat template turns into a text.</summary>
/// <param name="PromptMessages">How many of the first messages are only asked; 0: the whole conversation is the example.</param>
public sealed record ChatExchange(long Line, ChatMessages Messages, JsonElement? Tools, int PromptMessages) : Exchange(Line)
{
    public override string Text => Messages.Json.GetRawText();
}

/// <summary>A list of messages in the one form that chat templates read.</summary>
/// <param name="Json">An array of objects with role and content, and whatever else they had.</param>
/// <param name="Weights">How much each counts in the loss.</param>
public sealed record ChatMessages(JsonElement Json, IReadOnlyList<string> Roles, IReadOnlyList<float> Weights)
{
    public int Count => Roles.Count;

    public static ChatMessages Of(params (string Role, string Content)[] messages) => new(
        JsonSerializer.SerializeToElement(messages.Select(message => new Dictionary<string, string> { ["role"] = message.Role, ["content"] = message.Content })),
        [.. messages.Select(message => message.Role)],
        [.. messages.Select(_ => 1f)]);

    public ChatMessages Then(ChatMessages more) => new(
        JsonSerializer.SerializeToElement(Json.EnumerateArray().Concat(more.Json.EnumerateArray())), [.. Roles, .. more.Roles], [.. Weights, .. more.Weights]);

    public ChatMessages Slice(int start, int end) => new(
        JsonSerializer.SerializeToElement(Json.EnumerateArray().Skip(start).Take(end - start)), [.. Roles.Skip(start).Take(end - start)], [.. Weights.Skip(start).Take(end - start)]);
}
