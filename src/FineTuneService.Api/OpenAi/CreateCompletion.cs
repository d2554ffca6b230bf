using System.Text.Json.Serialization;
using FineTuneService.Api.WarmModels;
using FineTuneService.Contracts;
using FineTuneService.Training;

namespace FineTuneService.Api.OpenAi;

/// <summary>Continued texts, or with <c>stream</c> a piece of one.</summary>
public sealed record TextCompletion(string Id, long Created, string Model, IReadOnlyList<TextChoice> Choices)
{
    public string Object => "text_completion";

    /// <summary>In a stream: with the last piece, if it was asked for.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public CompletionUsage? Usage { get; init; }
}

/// <param name="Text">Without the prompt.</param>
/// <param name="Index">Which prompt it continues.</param>
public sealed record TextChoice(string Text, int Index, FinishReason? FinishReason)
{
    /// <summary>None.</summary>
    public object? Logprobs => null;
}

public static class CreateCompletion
{
    /// <summary>Continues texts, as OpenAI's <c>POST /completions</c>: whole, or with <c>"stream": true</c> piece by piece.</summary>
    /// <remarks>The first request loads the model; it then stays warm for a while. Sampling that is not asked for is as the model's generation_config.json says.</remarks>
    public static async Task<IResult> Handle(HttpRequest request, FindModel models, WarmModelPool pool, TimeProvider clock, CancellationToken cancel)
    {
        var asked = await JsonContract.ReadAsync<CompletionRequest>(request.Body, Catalog.Json, cancel);
        var generate = asked.ToGenerate();
        var model = await models.Find(asked.Model, cancel);
        var pieces = pool.AskAsync<GenerateReply>("generate", model.Folder, generate, cancel).Where(reply => reply.Piece is not null).Select(reply => reply.Piece!);
        var empty = new TextCompletion($"cmpl-{Guid.CreateVersion7():N}", clock.GetUtcNow().ToUnixTimeSeconds(), asked.Model, []);
        if (asked.Stream == true)
            return new CompletionStream<TextCompletion>(Chunks(empty, pieces, asked.StreamOptions?.IncludeUsage == true));
        var whole = await pieces.ToListAsync(cancel);
        return OpenAiJson.Answer(empty with
        {
            Choices = [.. whole.GroupBy(piece => piece.Prompt).OrderBy(text => text.Key).Select(text => new TextChoice(string.Concat(text.Select(piece => piece.Text)), text.Key, text.Last().FinishReason))],
            Usage = CompletionUsage.Of(whole),
        });
    }

    private static async IAsyncEnumerable<TextCompletion> Chunks(TextCompletion empty, IAsyncEnumerable<GeneratedPiece> pieces, bool withUsage)
    {
        var ends = new List<GeneratedPiece>();
        await foreach (var piece in pieces)
        {
            yield return empty with { Choices = [new(piece.Text, piece.Prompt, piece.FinishReason)] };
            if (piece.FinishReason is not null)
                ends.Add(piece);
        }
        if (withUsage)
            yield return empty with { Usage = CompletionUsage.Of(ends) };
    }
}
