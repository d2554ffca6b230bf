using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Data;

/// <summary>
/// Turns exchanges into tokens and says which are learnt: the completion with its end of sequence, or the assistant's turns with what ends them.
/// A token is learnt as soon as a part of it lies in such a stretch, as transformers' <c>char_to_token</c> has it.
/// </summary>
/// <param name="template">Null where the model has none and none was given.</param>
internal sealed class ExchangeTokenizer(Tokenizer tokenizer, ChatTemplate? template)
{
    /// <summary>Where the fault is the job's, not one row's.</summary>
    public const string TemplatePointer = "/task/chat_template", ModelPointer = "/base_model";

    /// <summary>Templates that write the date shall write the same one whenever a run is repeated: that of Unix' epoch.</summary>
    private static readonly TimeProvider FixedClock = new Epoch();

    /// <summary>What the tokenizer puts before a text, such as the begin of sequence.</summary>
    private readonly int[] _opening = Opening(tokenizer);

    /// <summary>Learn only the completion of a prompt (TRL).</summary>
    public bool CompletionOnlyLoss { get; init; } = true;

    /// <summary>Learn only what the assistant says (TRL; there false).</summary>
    public bool AssistantOnlyLoss { get; init; } = true;

    /// <param name="given">The text of a template; null: the model's own, if it has one.</param>
    /// <exception cref="FaultException">When it cannot be parsed.</exception>
    public static ChatTemplate? Template(string? given, Tokenizer tokenizer) =>
        given is null ? ChatTemplate.Load(tokenizer.Folder) : ChatTemplateFolder.With(tokenizer.Folder, given, TemplatePointer);

    /// <summary>Collects what can be said of a given template before there are rows.</summary>
    public static void Check(string? given, FaultList faults)
    {
        try
        {
            if (given is not null)
                ChatTemplate.Parse(given, TemplatePointer);
        }
        catch (FaultException error)
        {
            foreach (var fault in error.Faults)
                faults.Add(fault);
        }
    }

    /// <summary>The whole of it, of whatever length.</summary>
    /// <exception cref="FaultException">When a template is missing, cannot be rendered, or leaves the end of a turn unlearnt.</exception>
    public TokenSequence Tokenize(Exchange exchange) => exchange is ChatExchange chat ? Tokenize(chat) : Tokenize((TextExchange)exchange);

    /// <summary>A text to be continued: as what a user says to the assistant, or as it stands.</summary>
    public int[] Prompt(string text, bool asMessage) => asMessage && template is not null
        ? tokenizer.EncodePlain(template.Render(new ChatRequest(ChatMessages.Of(("user", text)).Json) { AddGenerationPrompt = true, Clock = FixedClock }).Text).Ids
        : [.. _opening, .. tokenizer.EncodePlain(text).Ids];

    private TokenSequence Tokenize(TextExchange exchange)
    {
        var end = tokenizer.EosTokenId ?? throw new FaultException(
            ModelPointer, null, "The tokenizer has no end-of-sequence token: a model that learns completions without one never stops.", "Name eos_token in its tokenizer_config.json.");
        var encoding = tokenizer.EncodePlain(exchange.Prompt + exchange.Completion);
        var weights = new float[encoding.Ids.Length];
        Mark(weights, encoding, exchange.Prompt + exchange.Completion, CompletionOnlyLoss ? exchange.Prompt.Length : 0, exchange.Prompt.Length + exchange.Completion.Length, 1);
        return new([.. _opening, .. encoding.Ids, end], [.. _opening.Select(_ => 0f), .. weights, 1]);
    }

    private TokenSequence Tokenize(ChatExchange exchange)
    {
        if (template is null)
            throw new FaultException(TemplatePointer, null, "The model has no chat template, and these rows are conversations.", "Give one as chat_template, or choose a base model with one (chat_template.jinja, or chat_template in tokenizer_config.json).");
        var request = new ChatRequest(exchange.Messages.Json) { Tools = exchange.Tools, Clock = FixedClock };
        var masked = AssistantOnlyLoss || (CompletionOnlyLoss && exchange.PromptMessages > 0)
            ? AssistantMask.Render(template, request, IsLearnt)
            : Whole(template.Render(request).Text);
        var encoding = tokenizer.EncodePlain(masked.Text);
        var weights = new float[encoding.Ids.Length];
        foreach (var turn in masked.Turns)
        {
            var last = Mark(weights, encoding, masked.Text, turn.Start, turn.End, turn.Message < 0 ? 1 : exchange.Messages.Weights[turn.Message]);
            if (last is null || !(last == tokenizer.EosTokenId || tokenizer.IsSpecial(last.Value)))
                throw new FaultException(
                    TemplatePointer, tokenizer.IdToToken(last ?? -1), "The end of the assistant's turn is not among what is learnt: the model would never stop.",
                    "Give a chat_template whose {% generation %} block, or assistant turn, includes the end-of-turn token; or make that token a special one of the tokenizer.");
        }
        return new(encoding.Ids, weights);

        bool IsLearnt(int message) => exchange.Messages.Weights[message] > 0 && (!CompletionOnlyLoss || message >= exchange.PromptMessages);
    }

    private static MaskedChat Whole(string text) => new(text, [new AssistantTurn(-1, 0, text.Length)]);

    /// <param name="start">In UTF-16 units.</param>
    /// <param name="end">Exclusive.</param>
    /// <returns>The last token in the stretch that is not white space; null when there is none.</returns>
    private static int? Mark(float[] weights, Encoding encoding, string text, int start, int end, float weight)
    {
        var (first, stop) = (CodePoints(text.AsSpan(0, start)), CodePoints(text.AsSpan(0, end)));
        var spoken = CodePoints(text.AsSpan(0, start + text.AsSpan(start, end - start).TrimEnd().Length));
        int? last = null;
        for (var token = 0; token < weights.Length; token++)
        {
            var (from, to) = encoding.Offsets[token];
            if (to <= first || from >= stop)
                continue;
            weights[token] = weight;
            if (from < spoken)
                last = encoding.Ids[token];
        }
        return last;
    }

    private static int CodePoints(ReadOnlySpan<char> text)
    {
        var count = text.Length;
        for (var at = 1; at < text.Length; at++)
            if (char.IsLowSurrogate(text[at]) && char.IsHighSurrogate(text[at - 1]))
                count--;
        return count;
    }

    private static int[] Opening(Tokenizer tokenizer)
    {
        var encoding = tokenizer.Encode("a");
        return [.. encoding.Ids.Zip(encoding.SpecialTokensMask).TakeWhile(token => token.Second == 1).Select(token => token.First)];
    }

    private sealed class Epoch : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch;

        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;
    }
}
