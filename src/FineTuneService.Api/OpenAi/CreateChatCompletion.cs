using System.Text.Json.Serialization;
using FineTuneService.Api.WarmModels;
using FineTuneService.Contracts;
using FineTuneService.Training;

namespace FineTuneService.Api.OpenAi;

/// <summary>An answer, or with <c>stream</c> a piece of one (<c>chat.completion.chunk</c>).</summary>
public sealed record ChatCompletion(string Id, string Object, long Created, string Model, IReadOnlyList<ChatChoice> Choices)
{
    /// <summary>In a stream: with the last piece, if it was asked for.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public CompletionUsage? Usage { get; init; }
}

/// <summary>The answer is in <c>message</c>; a piece of it in <c>delta</c>.</summary>
public sealed record ChatChoice(int Index, ChatFinishReason? FinishReason)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ChatAnswer? Message { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ChatDelta? Delta { get; init; }

    /// <summary>None.</summary>
    public object? Logprobs => null;
}

public enum ChatFinishReason
{
    /// <summary>The model ended, or a stop text came.</summary>
    Stop,

    /// <summary>The limit of tokens.</summary>
    Length,

    /// <summary>The model wants functions to be called.</summary>
    ToolCalls,
}

/// <param name="Content">null when there are only calls.</param>
public sealed record ChatAnswer(string? Content)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ToolCall>? ToolCalls { get; init; }

    public string Role => "assistant";

    /// <summary>None.</summary>
    public string? Refusal => null;
}

/// <param name="Role">In the first piece.</param>
public sealed record ChatDelta(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Role,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Content)
{
    /// <summary>Whole calls.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ToolCall>? ToolCalls { get; init; }
}

public sealed record CompletionUsage(int PromptTokens, int CompletionTokens, int TotalTokens)
{
    public static CompletionUsage Of(IEnumerable<GeneratedPiece> pieces)
    {
        var (prompt, completion) = (0, 0);
        foreach (var piece in pieces)
            (prompt, completion) = (prompt + (piece.PromptTokens ?? 0), completion + (piece.CompletionTokens ?? 0));
        return new(prompt, completion, prompt + completion);
    }
}

public static class CreateChatCompletion
{
    /// <summary>Answers a conversation, as OpenAI's <c>POST /chat/completions</c>: whole, or with <c>"stream": true</c> piece by piece.</summary>
    /// <remarks>The first request loads the model; it then stays warm for a while. Sampling that is not asked for is as the model's generation_config.json says.</remarks>
    public static async Task<IResult> Handle(HttpRequest request, FindModel models, WarmModelPool pool, TimeProvider clock, CancellationToken cancel)
    {
        var asked = await JsonContract.ReadAsync<ChatCompletionRequest>(request.Body, Catalog.Json, cancel);
        var generate = asked.ToGenerate();
        var model = await models.Find(asked.Model, cancel);
        var pieces = pool.AskAsync<GenerateReply>("generate", model.Folder, generate, cancel).Where(reply => reply.Piece is not null).Select(reply => reply.Piece!);
        var empty = new ChatCompletion($"chatcmpl-{Guid.CreateVersion7():N}", "chat.completion", clock.GetUtcNow().ToUnixTimeSeconds(), asked.Model, []);
        var calls = generate.Tools is { } tools ? ToolCallReader.For(tools) : null;
        if (asked.Stream == true)
            return new CompletionStream<ChatCompletion>(Chunks(empty with { Object = "chat.completion.chunk" }, pieces, calls, asked.StreamOptions?.IncludeUsage == true));
        var whole = await pieces.ToListAsync(cancel);
        var text = string.Concat(whole.Select(piece => piece.Text));
        var answer = calls?.Read(text, isLast: true) is { Calls: { Count: > 0 } found } read
            ? new ChatAnswer(read.Text is "" ? null : read.Text) { ToolCalls = [.. found.Select(call => call with { Index = null })] }
            : new(text);
        return OpenAiJson.Answer(empty with { Choices = [new(0, Reason(whole[^1], calls)) { Message = answer }], Usage = CompletionUsage.Of(whole) });
    }

    private static async IAsyncEnumerable<ChatCompletion> Chunks(ChatCompletion empty, IAsyncEnumerable<GeneratedPiece> pieces, ToolCallReader? calls, bool withUsage)
    {
        string? role = "assistant";
        GeneratedPiece? last = null;
        await foreach (var piece in pieces)
        {
            var (text, found) = calls?.Read(piece.Text, isLast: piece.FinishReason is not null) ?? (piece.Text, []);
            if (text.Length > 0 || role is not null)
                yield return empty with { Choices = [new(0, null) { Delta = new(role, text) }] };
            foreach (var call in found)
                yield return empty with { Choices = [new(0, null) { Delta = new(null, null) { ToolCalls = [call] } }] };
            (role, last) = (null, piece);
        }
        yield return empty with { Choices = [new(0, Reason(last!, calls)) { Delta = new(null, null) }] };
        if (withUsage)
            yield return empty with { Usage = CompletionUsage.Of([last!]) };
    }

    private static ChatFinishReason Reason(GeneratedPiece last, ToolCallReader? calls) => last.FinishReason switch
    {
        FinishReason.Length => ChatFinishReason.Length,
        _ when calls is { HasCalls: true } => ChatFinishReason.ToolCalls,
        _ => ChatFinishReason.Stop,
    };
}
