using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>A finding whose rows have no excerpts yet.</summary>
/// <param name="Fragment">Of a recipe, snake_case when written; null: no recipe helps.</param>
internal sealed record FindingDraft(DataIssue Code, FindingSeverity Severity, DataSplit? Split, long Count, IReadOnlyList<DraftRow> Rows, string Explanation, string Remedy, object? Fragment = null, bool IsRecommended = true)
{
    public JsonObject? Recipe => Fragment is null ? null : JsonSerializer.SerializeToNode(Fragment, SnakeCaseJson.Options)!.AsObject();

    /// <param name="excerpts">Of all rows that are shown and have a text.</param>
    public DataFinding Complete(DataScan scan, IReadOnlyDictionary<int, string> excerpts)
    {
        return new()
        {
            Code = Code,
            Severity = Severity,
            Split = Split,
            Count = Count,
            Rows = [.. Rows.Select(Flagged)],
            Explanation = Explanation,
            Remedy = Remedy,
            Recipe = Recipe,
            IsRecommended = Fragment is not null && IsRecommended,
        };

        FlaggedRow Flagged(DraftRow draft) => new()
        {
            Split = scan.Rows[draft.Row].Split,
            Line = scan.Rows[draft.Row].Line,
            Excerpt = excerpts.GetValueOrDefault(draft.Row),
            Label = Label(scan.Rows[draft.Row].Label),
            Detail = draft.Detail,
            Other = draft.Other is not { } other ? null : new()
            {
                Split = scan.Rows[other].Split,
                Line = scan.Rows[other].Line,
                Excerpt = excerpts.GetValueOrDefault(other),
                Label = Label(scan.Rows[other].Label),
            },
            Similarity = draft.Similarity is { } similarity ? Math.Round(similarity, 3) : null,
            SuggestedLabel = Label(draft.Suggested),
            Confidence = draft.Confidence is { } confidence ? Math.Round(confidence, 3) : null,
        };

        string? Label(int number) => number < 0 ? null : scan.Labels[number];
    }
}

/// <param name="Row">Among all rows.</param>
/// <param name="Suggested">Number of a label; −1: none.</param>
internal readonly record struct DraftRow(int Row, string? Detail = null, int? Other = null, double? Similarity = null, int Suggested = -1, double? Confidence = null);
