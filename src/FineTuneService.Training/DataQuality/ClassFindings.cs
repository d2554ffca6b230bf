using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>What is the matter with the classes: too small, too unequal, unknown.</summary>
internal static class ClassFindings
{
    /// <summary>The largest class may be so many times the smallest.</summary>
    private const int UnequalFrom = 20;

    public static IEnumerable<FindingDraft> Of(DataAnalysis data, DataReportOptions options)
    {
        if (!data.HasClasses)
            yield break;
        var scan = data.Scan;
        var rows = data.Usable(DataSplit.Train).ToLookup(row => scan.Rows[row].Label);
        var rare = rows.Where(members => members.Count() < MislabelSearch.FewestOfClass).OrderBy(members => members.Count()).ToArray();
        if (rare.Length > 0)
            yield return new(
                DataIssue.RareClass, FindingSeverity.Warning, DataSplit.Train, rare.Length, [.. rare.SelectMany(members => members).Take(options.ShownRows).Select(row => new DraftRow(row))],
                $"{rare.Length} of {rows.Count} classes have fewer than {MislabelSearch.FewestOfClass} rows, such as {string.Join(", ", rare.Take(5).Select(members => scan.Labels[members.Key]))}.",
                "Collect more rows of them, or put them together with others; a rare spelling of a frequent label is a slip.");
        var (most, fewest) = (rows.Max(members => members.Count()), rows.Min(members => members.Count()));
        if (rows.Count > 1 && most >= UnequalFrom * fewest)
            yield return new(
                DataIssue.Imbalance, FindingSeverity.Info, DataSplit.Train, rows.Count, [], $"The largest class has {most} rows, the smallest {fewest}.",
                "Watch macro F1 rather than accuracy; class_weights \"balanced\" makes rare classes count more.");
        var unknown = data.Held.Where(row => !rows.Contains(scan.Rows[row].Label)).ToArray();
        if (unknown.Length > 0)
            yield return new(
                DataIssue.UnknownLabel, FindingSeverity.High, null, unknown.Length, [.. unknown.Take(options.ShownRows).Select(row => new DraftRow(row))],
                $"{unknown.Length} validation or test rows have a label that no training row has, and a job refuses them.", "Put the labels right, or add training rows.");
    }

    /// <summary>The most frequent first; null where rows have no classes.</summary>
    public static IReadOnlyList<LabelCount>? Count(DataAnalysis data, int most)
    {
        if (!data.HasClasses)
            return null;
        var counts = new long[data.Scan.Labels.Count, 3];
        foreach (var split in Enum.GetValues<DataSplit>())
            foreach (var row in data.Usable(split))
                if (data.Scan.Rows[row].Label is >= 0 and var label)
                    counts[label, (int)split]++;
        return [.. data.Scan.Labels.Select((label, at) => new LabelCount { Label = label, Train = counts[at, 0], Validation = counts[at, 1], Test = counts[at, 2] })
            .OrderByDescending(count => count.Train).ThenBy(count => count.Label, StringComparer.Ordinal).Take(most)];
    }
}
