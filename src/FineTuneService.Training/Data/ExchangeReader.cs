using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>Reads what supervised fine-tuning learns from: conversations, prompts with completions, or instructions (Alpaca).</summary>
/// <param name="columns">Resolved: they say which of the forms it is.</param>
/// <param name="hasTemplate">Whether instructions can be put as messages.</param>
internal sealed class ExchangeReader(DatasetSpec columns, bool hasTemplate)
{
    public const string NoAnswer = "the assistant has not the last word";

    public IEnumerable<Exchange> Read(RowLedger ledger)
    {
        foreach (var row in Rows(ledger))
        {
            var exchange = columns.MessagesColumn is { } messages ? Conversation(row, messages, ledger)
                : columns.InputColumn is not null || columns.PromptColumn == "instruction" ? Instruction(row, ledger)
                : PromptAndCompletion(row, ledger);
            if (exchange is not null)
                yield return exchange;
        }
    }

    private IEnumerable<DataRow> Rows(RowLedger ledger) => columns.MessagesColumn is not null
        ? ledger.Rows(("messages_column", columns.MessagesColumn))
        : ledger.Rows(("prompt_column", columns.PromptColumn), ("completion_column", columns.CompletionColumn));

    private ChatExchange? Conversation(DataRow row, string column, RowLedger ledger)
    {
        if (ChatMessagesReader.Read(row[column], column, row.Line, ledger) is not { } messages)
            return null;
        if (messages.Roles[^1] == "assistant")
            return new(row.Line, messages, Tools(row), PromptMessages: 0);
        ledger.Drop(NoAnswer, row.Line);
        return null;
    }

    private Exchange? PromptAndCompletion(DataRow row, RowLedger ledger)
    {
        var (prompt, completion) = (row[columns.PromptColumn!], row[columns.CompletionColumn!]);
        if (ChatMessagesReader.IsList(prompt) || ChatMessagesReader.IsList(completion))
            return Chat(prompt, columns.PromptColumn!, completion, columns.CompletionColumn!, row, Tools(row), ledger);
        if (CellText.Of(completion) is { Length: > 0 } answer)
            return new TextExchange(row.Line, CellText.Of(prompt) ?? "", answer);
        ledger.Drop("no completion", row.Line);
        return null;
    }

    /// <summary>Both as messages; a completion without the assistant at its end is dropped.</summary>
    public static ChatExchange? Chat(object? prompt, string promptColumn, object? answer, string answerColumn, DataRow row, JsonElement? tools, RowLedger ledger)
    {
        if (ChatMessagesReader.Read(prompt, promptColumn, row.Line, ledger) is not { } asked || ChatMessagesReader.Read(answer, answerColumn, row.Line, ledger) is not { } answered)
            return null;
        if (answered.Roles[^1] == "assistant")
            return new(row.Line, asked.Then(answered), tools, asked.Count);
        ledger.Drop(NoAnswer, row.Line);
        return null;
    }

    /// <summary>The words in which Alpaca's models were taught (Taori et al. 2023), unless the model has a chat template.</summary>
    private Exchange? Instruction(DataRow row, RowLedger ledger)
    {
        var instruction = CellText.Of(row[columns.PromptColumn!]);
        var input = columns.InputColumn is null ? null : CellText.Of(row[columns.InputColumn]);
        var output = CellText.Of(row[columns.CompletionColumn!]);
        if (string.IsNullOrWhiteSpace(instruction) || string.IsNullOrEmpty(output))
        {
            ledger.Drop(string.IsNullOrEmpty(output) ? "no completion" : "no instruction", row.Line);
            return null;
        }
        var hasInput = !string.IsNullOrWhiteSpace(input);
        if (hasTemplate)
            return new ChatExchange(row.Line, ChatMessages.Of(("user", hasInput ? $"{instruction}\n\n{input}" : instruction), ("assistant", output)), null, PromptMessages: 1);
        var prompt = hasInput
            ? $"Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
            : $"Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n";
        return new TextExchange(row.Line, prompt, output);
    }

    private JsonElement? Tools(DataRow row) => columns.ToolsColumn is null ? null : ChatMessagesReader.List(row[columns.ToolsColumn]);
}
