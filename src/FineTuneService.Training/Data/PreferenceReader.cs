using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>An exchange with an answer that is liked and one that is liked less.</summary>
public sealed record Preference(Exchange Chosen, Exchange Rejected);

/// <summary>
/// Reads preferences: texts or lists of messages. Without a prompt, it is what both answers begin with, as TRL's <c>extract_prompt</c> has it.
/// OpenAI's prompt is an object, <c>{"messages": […], "tools"?: […]}</c>, in the column <c>input</c>.
/// </summary>
/// <param name="columns">Resolved.</param>
internal sealed class PreferenceReader(DatasetSpec columns)
{
    /// <summary>Where OpenAI's lines have the answer that is liked.</summary>
    public const string OpenAiChosen = "preferred_output";

    public IEnumerable<Preference> Read(RowLedger ledger)
    {
        var (chosenColumn, rejectedColumn) = (columns.ChosenColumn!, columns.RejectedColumn!);
        foreach (var row in ledger.Rows(("prompt_column", columns.PromptColumn), ("chosen_column", chosenColumn), ("rejected_column", rejectedColumn)))
        {
            var (chosen, rejected) = (row[chosenColumn], row[rejectedColumn]);
            var preference = ChatMessagesReader.IsList(chosen) || ChatMessagesReader.IsList(rejected) ? Chats(row, chosen, rejected, ledger) : Texts(row, CellText.Of(chosen), CellText.Of(rejected), ledger);
            if (preference is null)
                continue;
            if (preference.Chosen.Text == preference.Rejected.Text)
                ledger.Drop("both answers are the same", row.Line);
            else
                yield return preference;
        }
    }

    private Preference? Texts(DataRow row, string? chosen, string? rejected, RowLedger ledger)
    {
        if (string.IsNullOrEmpty(chosen) || string.IsNullOrEmpty(rejected))
        {
            ledger.Drop("an answer is missing", row.Line);
            return null;
        }
        if (columns.PromptColumn is { } column)
            return Pair(CellText.Of(row[column]) ?? "", chosen, rejected);
        var shared = chosen.AsSpan().CommonPrefixLength(rejected);
        if (shared > 0 && (chosen[shared - 1] == ' ' || char.IsHighSurrogate(chosen[shared - 1])))
            shared--; // The space belongs to the answer's first word.
        return Pair(chosen[..shared], chosen[shared..], rejected[shared..]);

        Preference Pair(string prompt, string better, string worse) => new(new TextExchange(row.Line, prompt, better), new TextExchange(row.Line, prompt, worse));
    }

    private Preference? Chats(DataRow row, object? chosen, object? rejected, RowLedger ledger)
    {
        var tools = columns.ToolsColumn is null ? null : ChatMessagesReader.List(row[columns.ToolsColumn]);
        if (columns.PromptColumn is { } column)
        {
            var asked = row[column];
            if (asked is JsonElement { ValueKind: JsonValueKind.Object } input && input.TryGetProperty("messages", out var messages))
                (asked, tools) = (messages, input.TryGetProperty("tools", out var listed) && listed.ValueKind == JsonValueKind.Array ? listed : tools);
            return ExchangeReader.Chat(asked, column, chosen, columns.ChosenColumn!, row, tools, ledger) is { } better
                && ExchangeReader.Chat(asked, column, rejected, columns.RejectedColumn!, row, tools, ledger) is { } worse ? new(better, worse) : null;
        }
        if (ChatMessagesReader.Read(chosen, columns.ChosenColumn!, row.Line, ledger) is not { } first || ChatMessagesReader.Read(rejected, columns.RejectedColumn!, row.Line, ledger) is not { } second)
            return null;
        if (first.Roles[^1] != "assistant" || second.Roles[^1] != "assistant")
        {
            ledger.Drop(ExchangeReader.NoAnswer, row.Line);
            return null;
        }
        var shared = first.Json.EnumerateArray().Zip(second.Json.EnumerateArray()).TakeWhile(pair => JsonElement.DeepEquals(pair.First, pair.Second)).Count();
        return new(new ChatExchange(row.Line, first, tools, shared), new ChatExchange(row.Line, second, tools, shared));
    }
}
