using System.ComponentModel.DataAnnotations;

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

/// <summary>Texts to continue.</summary>
/// <remarks>One line to <c>finetune generate MODEL --stdin</c>; the answer is a line for each piece of text, see <see cref="GenerateReply"/>.</remarks>
public sealed record GenerateRequest
{
    /// <summary>1 to 64 texts.</summary>
    [Length(1, 64)]
    public required IReadOnlyList<string> Prompts { get; init; }

    /// <summary>How to continue them.</summary>
    public GenerationConfig Generation { get; init; } = new();
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
/// <param name="Prompt">Which prompt of the request it continues, from 0.</param>
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
