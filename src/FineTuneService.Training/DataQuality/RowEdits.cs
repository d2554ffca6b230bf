using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>Changes cells of a row in place of its values' types.</summary>
/// <param name="columns">Resolved.</param>
internal sealed class RowEdits(DataColumns columns)
{
    private readonly string[] _texts =
    [
        .. new[] { columns.TextColumn, columns.TextPairColumn, columns.MessagesColumn, columns.PromptColumn, columns.InputColumn, columns.CompletionColumn, columns.ChosenColumn, columns.RejectedColumn }.OfType<string>(),
    ];

    /// <summary>A number stays one where the column has numbers.</summary>
    public void Relabel(DataRow row, string label)
    {
        var at = row.Columns[columns.LabelColumn!];
        row.Cells[at] = row.Cells[at] is long && long.TryParse(label, out var number) ? number : label;
    }

    /// <returns>Pieces that were masked.</returns>
    public int Mask(DataRow row)
    {
        var found = 0;
        foreach (var at in _texts.Where(row.Columns.ContainsKey).Select(column => row.Columns[column]).Where(at => at < row.Cells.Length))
            row.Cells[at] = row.Cells[at] switch
            {
                string text => Masked(text),
                JsonElement json => JsonSerializer.SerializeToElement(Within(JsonNode.Parse(json.GetRawText()))),
                var other => other,
            };
        return found;

        string Masked(string text)
        {
            var masked = PersonalData.Mask(text, out var pieces);
            found += pieces;
            return masked;
        }

        JsonNode? Within(JsonNode? node) => node switch
        {
            JsonValue value when value.TryGetValue<string>(out var text) => Masked(text),
            JsonArray list => new JsonArray([.. list.Select(Within)]),
            JsonObject members => new JsonObject(members.Select(member => KeyValuePair.Create(member.Key, Within(member.Value)))),
            _ => node?.DeepClone(),
        };
    }

    /// <summary>A copy with other texts; null where they come out the same.</summary>
    public object?[]? Copy(DataRow row, Func<string, string> change)
    {
        var copy = row.Cells.ToArray();
        foreach (var column in _texts)
            if (row[column] is string text)
                copy[row.Columns[column]] = change(text);
        return copy.SequenceEqual(row.Cells) ? null : copy;
    }
}
