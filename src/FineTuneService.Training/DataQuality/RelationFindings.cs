using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>What is the matter between rows: repetitions, contradictions, leaks.</summary>
internal static class RelationFindings
{
    public static IEnumerable<FindingDraft> Of(DataAnalysis data, DataReportOptions options)
    {
        int Label(int row) => data.Scan.Rows[row].Label;
        foreach (var file in data.Scan.Files)
        {
            int[] usable = [.. data.Usable(file.Split)];
            if (data.Repeated(usable, Label).ToArray() is { Length: > 0 } same)
                yield return new(
                    DataIssue.ExactDuplicate, FindingSeverity.Warning, file.Split, same.Length, Shown(same.Select(pair => new DraftRow(pair.Row, Other: pair.Of, Similarity: 1))),
                    $"{RowFindings.Share(same.Length, usable)} repeat an earlier one, but for case and white space, with the same label.", "Keep the first of each: the others make it count several times.", new { ExactDuplicates = true });
            if (data.NearlyRepeated(usable, Label, (one, other) => one == other).ToArray() is { Length: > 0 } alike)
                yield return new(
                    DataIssue.NearDuplicate, FindingSeverity.Warning, file.Split, alike.Length, Shown(alike.Select(pair => new DraftRow(pair.Row, Other: pair.Of, Similarity: pair.Similarity))),
                    FormattableString.Invariant($"{RowFindings.Share(alike.Length, usable)} are nearly the same as an earlier one with the same label: {options.NearDuplicateSimilarity:P0} of their shingles or more are shared."),
                    "Keep the first of each, unless the small differences matter.", new { NearDuplicates = options.NearDuplicateSimilarity }, IsRecommended: alike.Length * 20 < usable.Length);
        }
        if (data.HasClasses && Conflicts(data, options, Label) is { } conflicts)
            yield return conflicts;
        if (Leaks(data, options) is { } leaks)
            yield return leaks;

        DraftRow[] Shown(IEnumerable<DraftRow> rows) => [.. rows.Take(options.ShownRows)];
    }

    private static FindingDraft? Conflicts(DataAnalysis data, DataReportOptions options, Func<int, int> label)
    {
        int[] usable = [.. data.Usable(DataSplit.Train)];
        var equal = data.Conflicts(usable, label).ToArray();
        var nearly = data.NearlyRepeated(usable, label, (one, other) => one != other).ToArray();
        if (equal.Length + nearly.Length == 0)
            return null;
        var rows = equal.SelectMany(text => text.Skip(1).Select(row => new DraftRow(row, Other: text.First(other => label(other) != label(row)), Similarity: 1)))
            .Concat(nearly.Select(pair => new DraftRow(pair.Row, Other: pair.Of, Similarity: pair.Similarity)));
        return new(
            DataIssue.ConflictingLabels, equal.Length > 0 ? FindingSeverity.High : FindingSeverity.Info, DataSplit.Train, equal.Sum(text => text.Length) + nearly.Length, [.. rows.Take(options.ShownRows)],
            $"{equal.Sum(text => text.Length)} training rows share their text with one of another label, and {nearly.Length} nearly do.",
            "Decide which label is right; cleaning keeps the one that most rows of an equal text have. Nearly equal texts may well differ in what matters: look at them.",
            equal.Length > 0 ? new { ConflictingLabels = ConflictingLabelsAction.Majority } : null);
    }

    private static FindingDraft? Leaks(DataAnalysis data, DataReportOptions options)
    {
        int[] train = [.. data.Usable(DataSplit.Train)];
        var leaks = data.Shared(train, data.Held).ToArray();
        return leaks.Length == 0 ? null : new(
            DataIssue.Leakage, FindingSeverity.High, null, leaks.Length,
            [.. leaks.OrderByDescending(pair => pair.Similarity).ThenBy(pair => pair.Row).Take(options.ShownRows).Select(pair => new DraftRow(pair.Row, Other: pair.Of, Similarity: pair.Similarity))],
            $"{RowFindings.Share(leaks.Length, train)} of the training data also stand in the validation or test data: {leaks.Count(pair => pair.Similarity == 1)} the same, the others nearly. Scores on these rows say nothing.",
            "Take them out of the training data.", new { Leakage = LeakageAction.Train }, IsRecommended: leaks.Length * 20 < train.Length);
    }
}
