using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>What a row says and which label it has.</summary>
/// <param name="Parts">Its texts in their order: a text and its pair, the turns of a conversation, prompt and answer.</param>
/// <param name="Label">Several classes of one row are joined by <c>|</c>; null where rows have none.</param>
/// <param name="Unusable">Why no job could use it; null: it can.</param>
internal readonly record struct RowText(IReadOnlyList<string> Parts, string? Label, DataIssue? Unusable)
{
    public string Text => Parts.Count == 1 ? Parts[0] : string.Join('\n', Parts);

    /// <summary>Equal for rows that say the same, but for case and white space.</summary>
    public UInt128 Key => HeldOut.KeyOf(Parts.Count == 1 ? Parts[0] : string.Join('\0', Parts.Select(part => part.Trim())));

    /// <param name="columns">Resolved.</param>
    public static RowText Read(DataRow row, DataColumns columns) => columns.Task switch
    {
        "text-classification" => Classified(row, columns),
        "token-classification" => Tagged(row, columns),
        "causal-lm" => Of([CellText.Of(row[columns.TextColumn!])]),
        "sft" when columns.MessagesColumn is { } messages => Turns(row[messages]) is var turns && turns.Count > 0 ? Of(turns) : Of([null]),
        "sft" => Of([.. Said(row, columns.PromptColumn), .. Said(row, columns.InputColumn), .. Said(row, columns.CompletionColumn)], answers: [Said(row, columns.CompletionColumn)]),
        "dpo" => Of(
            [.. Said(row, columns.PromptColumn), .. Said(row, columns.ChosenColumn), .. Said(row, columns.RejectedColumn)],
            answers: [Said(row, columns.ChosenColumn), Said(row, columns.RejectedColumn)]),
        _ => throw new ArgumentException($"{columns.Task} is no task with rows.", nameof(columns)),
    };

    private static RowText Of(IReadOnlyList<string?> parts, params IReadOnlyList<string>[] answers) => new(
        [.. parts.OfType<string>()], null, parts.All(string.IsNullOrWhiteSpace) || answers.Any(answer => answer.All(string.IsNullOrWhiteSpace)) ? DataIssue.NoText : null);

    private static RowText Classified(DataRow row, DataColumns columns)
    {
        var text = CellText.Of(row[columns.TextColumn!]) ?? "";
        string[] parts = columns.TextPairColumn is null ? [text] : [text, CellText.Of(row[columns.TextPairColumn]) ?? ""];
        var label = row[columns.LabelColumn!] switch
        {
            null => null,
            JsonElement { ValueKind: JsonValueKind.Array } list => string.Join('|', list.EnumerateArray().Select(item => item.ToString().Trim()).Order(StringComparer.Ordinal)),
            var cell => CellText.Of(cell)!.Trim(),
        };
        var unusable = string.IsNullOrWhiteSpace(text) ? DataIssue.NoText : label is null or "" ? DataIssue.NoLabel : (DataIssue?)null;
        return new(parts, label is "" ? null : label, unusable);
    }

    private static RowText Tagged(DataRow row, DataColumns columns) =>
        ChatMessagesReader.List(row[columns.TokensColumn!]) is { } words && words.GetArrayLength() > 0
            ? new([string.Join(' ', words.EnumerateArray().Select(word => word.ToString()))], null, ChatMessagesReader.List(row[columns.TagsColumn!]) is null ? DataIssue.NoLabel : null)
            : new([""], null, DataIssue.NoText);

    /// <summary>A cell's text, or what its messages say.</summary>
    private static List<string> Said(DataRow row, string? column) =>
        column is null ? [] : ChatMessagesReader.IsList(row[column]) ? Turns(row[column]) : CellText.Of(row[column]) is { } text ? [text] : [];

    private static List<string> Turns(object? cell)
    {
        var turns = new List<string>();
        if (ChatMessagesReader.List(cell) is not { } messages)
            return turns;
        foreach (var message in messages.EnumerateArray().Where(message => message.ValueKind == JsonValueKind.Object))
            if (message.TryGetProperty("content", out var content) || message.TryGetProperty("value", out content))
                turns.Add(content.ValueKind == JsonValueKind.String ? content.GetString()! : content.GetRawText());
        return turns;
    }
}
