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
public sealed record ChatChoice(int Index, FinishReason? FinishReason)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ChatAnswer? Message { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ChatDelta? Delta { get; init; }

    /// <summary>None.</summary>
    public object? Logprobs => null;
}

public sealed record ChatAnswer(string Content)
{
    public string Role => "assistant";

    /// <summary>None.</summary>
    public string? Refusal => null;
}

/// <param name="Role">In the first piece.</param>
public sealed record ChatDelta(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Role,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Content);

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
        if (asked.Stream == true)
            return new CompletionStream<ChatCompletion>(Chunks(empty with { Object = "chat.completion.chunk" }, pieces, asked.StreamOptions?.IncludeUsage == true));
        var whole = await pieces.ToListAsync(cancel);
        return OpenAiJson.Answer(empty with
        {
            Choices = [new(0, whole[^1].FinishReason) { Message = new(string.Concat(whole.Select(piece => piece.Text))) }],
            Usage = CompletionUsage.Of(whole),
        });
    }

    private static async IAsyncEnumerable<ChatCompletion> Chunks(ChatCompletion empty, IAsyncEnumerable<GeneratedPiece> pieces, bool withUsage)
    {
        string? role = "assistant";
        GeneratedPiece? last = null;
        await foreach (var piece in pieces)
        {
            yield return empty with { Choices = [new(0, null) { Delta = new(role, piece.Text) }] };
            (role, last) = (null, piece);
        }
        yield return empty with { Choices = [new(0, last!.FinishReason) { Delta = new(null, null) }] };
        if (withUsage)
            yield return empty with { Usage = CompletionUsage.Of([last]) };
    }
}
