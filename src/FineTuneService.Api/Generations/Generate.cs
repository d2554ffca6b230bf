using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.WarmModels;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Training;

namespace FineTuneService.Api.Generations;

/// <param name="Step">The checkpoint's step.</param>
/// <param name="Texts">In the order of the prompts; one for a conversation.</param>
public sealed record GenerateAnswer(int Step, IReadOnlyList<Completion> Texts);

/// <summary>How a prompt goes on.</summary>
/// <param name="Text">Without the prompt.</param>
/// <param name="FinishReason">Why it ends.</param>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CompletionTokens">Tokens that were added, the end-of-text token among them.</param>
public sealed record Completion(string Text, FinishReason FinishReason, int PromptTokens, int CompletionTokens);

public static class Generate
{
    /// <summary>Continues texts, or answers a conversation, with a job's checkpoint: as JSON, or with <c>Accept: text/event-stream</c> piece by piece. The first request loads the model; it then stays warm for a while.</summary>
    /// <remarks>
    /// Give <c>prompts</c>, or <c>messages</c> with roles and contents: then the model's chat template writes them, and the text is the assistant's answer.
    /// The stream sends a piece a message: <c>{"prompt": 0, "text": "…"}</c>, with the number of the prompt that it continues; a prompt's last piece has <c>finish_reason</c>,
    /// <c>prompt_tokens</c> and <c>completion_tokens</c> as well. At its end comes the event <c>done</c> with the checkpoint's step, or <c>error</c> with a problem (RFC 9457).
    /// What is wrong with the request is told before the stream begins, with a status of its own.
    /// </remarks>
    /// <param name="id">The job's id.</param>
    /// <param name="checkpoint">A step, <c>best</c> or <c>final</c>. Unless given: the best one, else the newest.</param>
    public static async Task<IResult> Handle(
        string id, HttpRequest request, FineTuneDb db, CheckpointFiles files, WarmModelPool models, CancellationToken cancel, string? checkpoint = null)
    {
        await db.FindJob(id, cancel);
        var asked = await JsonContract.ReadAsync<GenerateRequest>(request.Body, Catalog.Json, cancel);
        var faults = new FaultList();
        asked.Check(faults);
        faults.ThrowIfAny();
        var folder = await CheckpointFolder.Find(db, files, id, checkpoint, cancel);
        var pieces = models.AskAsync<GenerateReply>("generate", folder.Path, asked, cancel).Where(reply => reply.Piece is not null).Select(reply => reply.Piece!);
        if (EventStream.IsWanted(request))
            return new GenerationStream(folder.Checkpoint.Step, pieces);
        var whole = await pieces.ToLookupAsync(piece => piece.Prompt, cancellationToken: cancel);
        return TypedResults.Ok(new GenerateAnswer(folder.Checkpoint.Step, [.. Enumerable.Range(0, asked.Prompts?.Count ?? 1).Select(prompt => Join(whole[prompt]))]));
    }

    private static Completion Join(IEnumerable<GeneratedPiece> pieces)
    {
        var last = pieces.Last();
        return new(string.Concat(pieces.Select(piece => piece.Text)), last.FinishReason!.Value, last.PromptTokens!.Value, last.CompletionTokens!.Value);
    }
}
