using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates;

/// <summary>A conversation as one text, with what the assistant wrote in it: the stretches that a loss on assistant turns learns from.</summary>
/// <param name="Text">The whole conversation.</param>
/// <param name="Turns">Ordered, none overlapping another; one message may have several.</param>
public sealed record MaskedChat(string Text, IReadOnlyList<AssistantTurn> Turns);

/// <param name="Message">Index into the conversation's messages.</param>
/// <param name="Start">In UTF-16 units of the text: where the assistant begins to write, after its turn's opening.</param>
/// <param name="End">Exclusive; what ends the turn is included, for a model has to learn to stop.</param>
public readonly record struct AssistantTurn(int Message, int Start, int End);

/// <summary>
/// Finds the assistant's turns in a rendered conversation. A template with <c>{% generation %}</c> blocks says it itself. For any other, the conversation is rendered
/// up to each turn with the generation prompt, which is what the model will see when it serves, and again with the turn: the difference is the turn.
/// </summary>
public static class AssistantMask
{
    /// <param name="template">The model's.</param>
    /// <param name="request">The conversation; its generation prompt is left out.</param>
    /// <param name="isLearned">Which messages to look for, such as those of weight 1; by default every one whose role is assistant.</param>
    /// <exception cref="FaultException">As <see cref="ChatTemplate.Render(ChatRequest)"/>, and when a turn cannot be told apart; names the message.</exception>
    public static MaskedChat Render(ChatTemplate template, ChatRequest request, Func<int, bool>? isLearned = null)
    {
        var chosen = template.For(request);
        var chat = Chat.From(request);
        var learned = Enumerable.Range(0, chat.Messages.Items.Length).Where(i => IsAssistant(chat, i) && isLearned?.Invoke(i) != false).ToArray();
        var (run, text) = chosen.Render(chat, addGenerationPrompt: false);
        if (!chosen.MarksGenerations)
            return new(text, [.. learned.Select(message => Difference(chosen, chat, text, message))]);
        if (run.HasHiddenGeneration)
            throw new FaultException(chosen.Name, null, "A generation block stands inside a macro or a set block, so that its place in the text is not known.", "Move the block to where its text is printed.");
        var owners = Owners(chosen, chat, run.Generations);
        return new(text, [.. run.Generations.Zip(owners, (span, message) => new AssistantTurn(message, span.Start, span.End)).Where(turn => learned.Contains(turn.Message) && turn.End > turn.Start)]);
    }

    /// <summary>Whose each span is. Where no loop over the messages shows it, the spans must be as many as the assistant's messages.</summary>
    private static IEnumerable<int> Owners(ChatTemplate template, Chat chat, List<GenerationSpan> spans)
    {
        if (spans.All(span => span.Message is not null))
            return spans.Select(span => span.Message!.Value);
        var assistants = Enumerable.Range(0, chat.Messages.Items.Length).Where(i => IsAssistant(chat, i)).ToArray();
        return assistants.Length == spans.Count ? assistants : throw new FaultException(
            template.Name, null, $"The template marks {spans.Count} generations and does not show to which of the {assistants.Length} assistant messages they belong.",
            "Put the generation block into the loop over the messages.");
    }

    private static AssistantTurn Difference(ChatTemplate template, Chat chat, string text, int message)
    {
        // Nothing comes before the first message; many templates cannot render that.
        var before = message == 0 ? Opening(template, chat) : template.Render(chat.Prefix(message), addGenerationPrompt: true).Text;
        var after = template.Render(chat.Prefix(message + 1), addGenerationPrompt: false).Text;
        if (!after.StartsWith(before, StringComparison.Ordinal))
            throw Inseparable(template, message, "what the template writes for the messages before it, with the generation prompt, is not how the text with it begins");
        if (!text.StartsWith(after, StringComparison.Ordinal))
            throw Inseparable(template, message, "the template writes this turn differently once others follow");
        return new(message, before.Length, after.Length);
    }

    private static string Opening(ChatTemplate template, Chat chat)
    {
        try
        {
            return template.Render(chat.Prefix(0), addGenerationPrompt: true).Text;
        }
        catch (FaultException)
        {
            throw Inseparable(template, 0, "the conversation begins with it, and the template renders no empty conversation");
        }
    }

    private static FaultException Inseparable(ChatTemplate template, int message, string why) => new(
        $"/messages/{message}", null, $"The assistant's turn cannot be told apart in the text of {template.Name}: {why}.",
        "Use a template with {% generation %} blocks, or learn from the last assistant message only (weight 0 for the others), or from whole conversations.");

    private static bool IsAssistant(Chat chat, int message) =>
        chat.Messages.Items[message] is DictValue fields && fields.TryGetValue("role", out var role) && role is "assistant";
}
