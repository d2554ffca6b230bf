using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates;
using FineTuneService.Training.Data;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Generation;

/// <summary>A conversation as a language model reads it: written by its chat template up to where the assistant begins to speak.</summary>
/// <param name="Ids">The special tokens are the template's; the tokenizer adds none (transformers' <c>apply_chat_template</c>).</param>
/// <param name="TurnEnd">The token that ends the assistant's turn, which need not be the end of a text; null where the template does not show it.</param>
internal sealed record ChatPrompt(int[] Ids, int? TurnEnd)
{
    /// <summary>What the assistant might have said.</summary>
    private const string Answer = "answer";

    /// <exception cref="FaultException">When the model has no template, or its template refuses the conversation.</exception>
    public static ChatPrompt Render(ChatTemplate? template, Tokenizer tokenizer, IReadOnlyList<JsonElement> messages, IReadOnlyList<JsonElement>? tools)
    {
        if (template is null)
            throw new FaultException(
                "/messages", null, "This model has no chat template, so that nobody knows how it reads a conversation.",
                "Give prompts, written as the model was trained on them; or fine-tune it with the task sft and a chat_template, which then goes with the model.");
        var conversation = messages.Select(ChatMessagesReader.Plain).ToList();
        var request = new ChatRequest(JsonSerializer.SerializeToElement(conversation)) { Tools = tools is null ? null : JsonSerializer.SerializeToElement(tools), AddGenerationPrompt = true };
        var ids = tokenizer.EncodePlain(template.Render(request).Text).Ids;
        conversation.Add(new() { ["role"] = "assistant", ["content"] = Answer });
        return new(ids, EndOfTurn(template, tokenizer, request with { Messages = JsonSerializer.SerializeToElement(conversation), AddGenerationPrompt = false }));
    }

    /// <summary>The first special token after an answer.</summary>
    private static int? EndOfTurn(ChatTemplate template, Tokenizer tokenizer, ChatRequest answered)
    {
        try
        {
            var text = template.Render(answered).Text;
            return text.LastIndexOf(Answer, StringComparison.Ordinal) is >= 0 and var at
                ? tokenizer.EncodePlain(text[(at + Answer.Length)..]).Ids.Where(tokenizer.IsSpecial).Select(id => (int?)id).FirstOrDefault()
                : null;
        }
        catch (FaultException)
        {
            return null; // Some templates refuse an answer to an answer.
        }
    }
}
