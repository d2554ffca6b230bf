using System.ComponentModel.DataAnnotations;
using System.Text.Json;

namespace FineTuneService.Contracts;

/// <summary>How to continue a text; names and meanings are those of transformers' <c>GenerationConfig</c>. What is null comes from the model's generation_config.json, else from transformers' defaults.</summary>
public sealed record GenerationConfig
{
    /// <summary>The most tokens to add; 256 where nothing says otherwise. The model's limit ends a text as well.</summary>
    [Range(1, int.MaxValue)]
    public int? MaxNewTokens { get; init; }

    /// <summary>Draw the next token, rather than take the most probable. Null: as the model's file says, and true where one of the four below is given.</summary>
    public bool? DoSample { get; init; }

    /// <summary>Divides the logits before drawing.</summary>
    [Range(0.01, 100)]
    public double? Temperature { get; init; }

    /// <summary>Draw among so many of the most probable tokens; 0: all.</summary>
    [Range(0, int.MaxValue)]
    public int? TopK { get; init; }

    /// <summary>Draw among the most probable tokens that together reach this probability.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double? TopP { get; init; }

    /// <summary>Draw among tokens at least this probable, relative to the most probable one.</summary>
    [Range(0.0, 1.0)]
    public double? MinP { get; init; }

    /// <summary>Above 1, tokens that occur already become less probable (Keskar et al. 2019, arXiv:1909.05858).</summary>
    [Range(0.01, 100)]
    public double? RepetitionPenalty { get; init; }

    /// <summary>Texts at which to stop; the text ends before them.</summary>
    [MaxLength(16)]
    public IReadOnlyList<string>? StopStrings { get; init; }

    /// <summary>The same seed draws the same text. Null: another one each time.</summary>
    public long? Seed { get; init; }
}

/// <summary>Texts to continue, or a conversation to answer: one of <c>prompts</c> and <c>messages</c>.</summary>
/// <remarks>One line to <c>finetune generate MODEL --stdin</c>; the answer is a line for each piece of text, see <see cref="GenerateReply"/>.</remarks>
public sealed record GenerateRequest
{
    /// <summary>1 to 64 texts.</summary>
    [Length(1, 64)]
    public IReadOnlyList<string>? Prompts { get; init; }

    /// <summary>
    /// A conversation, which the model's chat template writes up to where the assistant begins: objects with <c>role</c> and <c>content</c> (a text, or a list of text parts),
    /// and whatever else the template reads, such as <c>tool_calls</c>. The text that comes back is the assistant's.
    /// </summary>
    [Length(1, 1024)]
    public IReadOnlyList<JsonElement>? Messages { get; init; }

    /// <summary>With <c>messages</c>: the functions that the model may call, as schemas.</summary>
    [MaxLength(128)]
    public IReadOnlyList<JsonElement>? Tools { get; init; }

    /// <summary>How to continue them.</summary>
    public GenerationConfig Generation { get; init; } = new();

    /// <summary>What no field can say alone; needs no model.</summary>
    public void Check(FaultList faults)
    {
        faults.Require(
            (Prompts is null) != (Messages is null), Messages is null ? "/prompts" : "/messages", null,
            Messages is null ? "There is nothing to continue." : "prompts and messages were both given.", "Give prompts: texts to continue; or messages: a conversation to answer.");
        faults.Require(Tools is null || Messages is not null, "/tools", null, "Only a conversation has tools.", "Give messages, or leave tools out.");
        foreach (var (at, message) in (Messages ?? []).Index())
            Check(message, $"/messages/{at}", faults);
        foreach (var (at, tool) in (Tools ?? []).Index())
            faults.Require(tool.ValueKind == JsonValueKind.Object, $"/tools/{at}", tool, "A tool is an object.", """Give {"type": "function", "function": {"name": …, "parameters": …}}.""");
    }

    private static void Check(JsonElement message, string pointer, FaultList faults)
    {
        if (message.ValueKind != JsonValueKind.Object)
        {
            faults.Add(pointer, message, "A message is an object.", """Give {"role": "user", "content": "…"}.""");
            return;
        }
        faults.Require(
            message.TryGetProperty("role", out var role) && role is { ValueKind: JsonValueKind.String } && role.GetString() != "", $"{pointer}/role", null, "The message does not say whose it is.", "Give system, user, assistant or tool.");
        var isCall = message.TryGetProperty("tool_calls", out _) || message.TryGetProperty("function_call", out _);
        var hasContent = message.TryGetProperty("content", out var content) && content.ValueKind != JsonValueKind.Null;
        faults.Require(
            hasContent ? content.ValueKind == JsonValueKind.String || (content.ValueKind == JsonValueKind.Array && content.EnumerateArray().All(IsText)) : isCall,
            $"{pointer}/content", null, "The message has no text.", "Give its content as a string, or as parts of type text.");
    }

    private static bool IsText(JsonElement part) =>
        part.ValueKind == JsonValueKind.String || (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String);
}

/// <summary>
/// What the generator says: first one line with <see cref="ModelReply.Ready"/> once the model is warm; then, for each request, a line for each
/// <see cref="Piece"/> as soon as it is known, and one line with <see cref="Done"/> or with faults at its end.
/// </summary>
public sealed record GenerateReply : ModelReply
{
    public GeneratedPiece? Piece { get; init; }
    public bool? Done { get; init; }

    public override bool IsLast => Done == true || Faults is not null;
}

/// <summary>Some more of a prompt's continuation.</summary>
/// <param name="Prompt">Which prompt of the request it continues, from 0; a conversation is prompt 0.</param>
/// <param name="Text">Whole characters; may be empty in a prompt's last piece.</param>
public sealed record GeneratedPiece(int Prompt, string Text)
{
    /// <summary>Set in a prompt's last piece.</summary>
    public FinishReason? FinishReason { get; init; }

    /// <summary>In a prompt's last piece: tokens of the prompt.</summary>
    public int? PromptTokens { get; init; }

    /// <summary>In a prompt's last piece: tokens that were added, the end-of-text token among them.</summary>
    public int? CompletionTokens { get; init; }
}

public enum FinishReason
{
    /// <summary>An end-of-text token or a stop string.</summary>
    Stop,

    /// <summary><see cref="GenerationConfig.MaxNewTokens"/>, or the model's limit.</summary>
    Length,
}
