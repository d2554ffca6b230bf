using System.Collections.Frozen;
using System.Text.Json;

namespace FineTuneService.Training.ChatTemplates;

/// <summary>A conversation to render, with the arguments of transformers' <c>apply_chat_template</c>.</summary>
/// <param name="Messages">A JSON array of objects as the data has them; the order of their keys counts where a template prints them.</param>
public sealed record ChatRequest(JsonElement Messages)
{
    /// <summary>Ends with the opening of the assistant's turn.</summary>
    public bool AddGenerationPrompt { get; init; }

    /// <summary>A JSON array of function schemas; null or JSON null: no tools.</summary>
    public JsonElement? Tools { get; init; }

    /// <summary>A JSON array of documents for retrieval-augmented generation.</summary>
    public JsonElement? Documents { get; init; }

    /// <summary>What else the template may read, such as <c>enable_thinking</c>. Wins over the model's special tokens.</summary>
    public IReadOnlyDictionary<string, JsonElement> Variables { get; init; } = FrozenDictionary<string, JsonElement>.Empty;

    /// <summary>What <c>strftime_now</c> reads, in its local time. A template that writes the date trains on it: give a fixed clock to repeat a run.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}

/// <param name="Text">What the tokenizer reads; special tokens are spelled out in it already.</param>
/// <param name="Generations">What the template's <c>{% generation %}</c> blocks wrote, in order; empty where it has none.</param>
public sealed record RenderedChat(string Text, IReadOnlyList<GenerationSpan> Generations);

/// <summary>A stretch of text that the assistant wrote.</summary>
/// <param name="Message">Index of the message, or null where the template does not show whose it is.</param>
/// <param name="Start">In UTF-16 units, as <see cref="string"/> counts.</param>
/// <param name="End">Exclusive.</param>
public readonly record struct GenerationSpan(int? Message, int Start, int End);
