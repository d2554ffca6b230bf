using FineTuneService.Training.Assessment;
using static System.FormattableString;

namespace FineTuneService.Api.Reports;

/// <summary>Whether the second job's model is better than the first's, on the same validation rows.</summary>
/// <param name="Verdict"><c>second_is_better</c>, <c>first_is_better</c>, <c>not_distinguishable</c>; or <c>not_comparable</c>: then nothing follows but the reason.</param>
/// <param name="Explanation">The verdict with its numbers, or why there is none.</param>
/// <param name="Metrics">Each with the interval that holds the difference of second less first in 95 of 100 samples of rows (paired bootstrap).</param>
/// <param name="PValue">McNemar's exact test of the accuracy; of several pairs adjusted for their number (Holm 1979).</param>
/// <param name="FlipsToWrong">The first 50 rows that only the first has right, the surest of the second's mistakes first.</param>
/// <param name="FlipsToRight">The first 50 rows that only the second has right, the surest first.</param>
public sealed record JobPair(
    string First, string Second, string Verdict, string Explanation, int? Rows = null, IReadOnlyList<PairedMetric>? Metrics = null, int? RightToWrong = null, int? WrongToRight = null, double? PValue = null,
    IReadOnlyList<FlippedRow>? FlipsToWrong = null, IReadOnlyList<FlippedRow>? FlipsToRight = null)
{
    private const int MostFlips = 50;

    private const double Level = 0.05;

    private const string NotComparable = "not_comparable";

    public static async Task<JobPair> Of(JudgedJob first, JudgedJob second, ReportFiles reports, CancellationToken cancel)
    {
        if (Obstacle(first, second) is { } obstacle)
            return new(first.Job.Id, second.Job.Id, NotComparable, obstacle);
        string[] classes = [.. first.Labels.Union(second.Labels)];
        var numbers = classes.Index().ToDictionary(label => label.Item, label => label.Index);
        var lines = first.Rows!.Keys.Order().ToList();
        var rows = lines.Select(line => new PairedRow(Numbers(first, first.Rows[line].Labels), Numbers(first, first.Rows[line].Predicted), Numbers(second, second.Rows![line].Predicted))).ToList();
        var flips = lines.Zip(rows).Where(pair => pair.Second.FirstIsRight != pair.Second.SecondIsRight).ToLookup(pair => pair.Second.SecondIsRight, pair => pair.First);
        long[] toWrong = [.. Surest(flips[false])], toRight = [.. Surest(flips[true])];
        var texts = await reports.Texts(first.Job, toWrong.Concat(toRight).Select(line => (long?)line), cancel);
        return new(
            first.Job.Id, second.Job.Id, "", "", rows.Count, PairedComparison.Metrics(rows, classes.Length), flips[false].Count(), flips[true].Count(),
            PairedComparison.McNemar(flips[false].Count(), flips[true].Count()), [.. toWrong.Select(Show)], [.. toRight.Select(Show)]);

        int[] Numbers(JudgedJob job, IReadOnlyList<int> labels) => [.. labels.Select(label => numbers[job.Labels[label]]).Order()];

        IEnumerable<long> Surest(IEnumerable<long> flipped) => flipped.OrderByDescending(line => second.Rows![line].Probability).Take(MostFlips);

        FlippedRow Show(long line)
        {
            var text = texts.GetValueOrDefault(line);
            return new(line, Names(first, first.Rows![line].Labels), Names(first, first.Rows[line].Predicted), Names(second, second.Rows![line].Predicted), second.Rows[line].Probability, text.Text, text.Pair);
        }
    }

    /// <summary>With p-values that hold for all pairs together, and their verdicts.</summary>
    public static IReadOnlyList<JobPair> Adjusted(IReadOnlyList<JobPair> pairs)
    {
        var adjusted = new Dictionary<JobPair, double>(ReferenceEqualityComparer.Instance);
        var (tested, highest) = (pairs.Where(pair => pair.PValue is not null).OrderBy(pair => pair.PValue).ToList(), 0.0);
        foreach (var (rank, pair) in tested.Index())
            adjusted[pair] = highest = Math.Max(highest, Math.Min(1, (tested.Count - rank) * pair.PValue!.Value));
        return [.. pairs.Select(pair => adjusted.TryGetValue(pair, out var p) ? pair.Judged(p) : pair)];
    }

    private JobPair Judged(double p)
    {
        var accuracy = Metrics![0];
        var verdict = p >= Level ? "not_distinguishable" : accuracy.Difference > 0 ? "second_is_better" : "first_is_better";
        var what = Invariant($"Accuracy {100 * accuracy.First:F1} % and {100 * accuracy.Second:F1} % on {Rows} rows: {RightToWrong} rows went from right to wrong, {WrongToRight} from wrong to right (p = {p:G2}). ");
        return this with
        {
            PValue = p,
            Verdict = verdict,
            Explanation = what + (verdict == "not_distinguishable" ? "That may well be chance: these rows do not tell them apart." : "Chance alone would seldom do that."),
        };
    }

    /// <summary>Why the two cannot be compared row by row; null: they can.</summary>
    private static string? Obstacle(JudgedJob first, JudgedJob second)
    {
        foreach (var job in new[] { first, second })
            if (job.Step is null)
                return $"{job.Job.Id} has no checkpoint yet.";
            else if (job.Rows is not { Count: > 0 })
                return $"{job.Job.Id} keeps no predictions of validation rows: only text classifiers with validation rows do, of the checkpoints that were evaluated.";
        if (ReportFiles.IdOf(first.Job) != ReportFiles.IdOf(second.Job) && (first.Sha256 is null || first.Sha256 != second.Sha256))
            return $"Their validation rows are of different files ({ReportFiles.IdOf(first.Job)} and {ReportFiles.IdOf(second.Job)}). Post one of them again with the other's validation dataset.";
        var common = first.Rows!.Keys.Count(second.Rows!.ContainsKey);
        if (common != first.Rows.Count || common != second.Rows.Count)
            return $"They were evaluated on different rows of the same file: {first.Rows.Count} and {second.Rows.Count}, of which {common} in common. What one held out the other may have learnt. Post one of them again with the same validation dataset, or the same seed and validation_split.";
        return first.Rows.Values.Any(row => !Names(first, row.Labels).Order().SequenceEqual(Names(second, second.Rows[row.Line!.Value].Labels).Order()))
            ? "Their validation rows are the same, but not the labels of these rows. Post one of them again with the other's label_column." : null;
    }

    private static string[] Names(JudgedJob job, IReadOnlyList<int> labels) => [.. labels.Select(label => job.Labels[label])];
}

/// <param name="Line">Of the row in the validation file, from 1, the header included.</param>
/// <param name="First">What the first job's model says.</param>
/// <param name="Probability">Calibrated, of what the second's says.</param>
/// <param name="Text">Absent where the file has gone.</param>
public sealed record FlippedRow(long Line, IReadOnlyList<string> Labels, IReadOnlyList<string> First, IReadOnlyList<string> Second, double Probability, string? Text, string? TextPair);
