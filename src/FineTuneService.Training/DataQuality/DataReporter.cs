using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.DataQuality;

/// <summary>Looks for what is the matter with a dataset.</summary>
public static class DataReporter
{
    private const int ShownLabels = 1000;
    private const int ExcerptCharacters = 200;
    private const int FewRows = 20;
    private const double UsualSplit = 0.1;

    /// <param name="progress">Told from this thread.</param>
    /// <exception cref="FaultException">When a file or the tokenizer cannot be read at all, or a column is missing.</exception>
    public static DataReport Run(DatasetFiles files, DataReportOptions options, Action<DataProgress> progress)
    {
        var teller = new ProgressTeller(progress);
        var tokenizer = options.Model is null ? null : Tokenizer.Load(options.Model);
        double? similarity = Wants(options, DataIssue.NearDuplicate) || Wants(options, DataIssue.Leakage) || Wants(options, DataIssue.ConflictingLabels) ? options.NearDuplicateSimilarity : null;
        using var data = new DataAnalysis(files, new(options.Columns, null, similarity, Masks: false, options.Seed), teller, share: 0.6);

        teller.Begin("measuring lengths", 0.1);
        var lengths = LengthMeasure.Of(data, tokenizer, options.MaxLength);
        FindingDraft?[] drafts =
        [
            .. RowFindings.Of(data, options), .. RelationFindings.Of(data, options), .. ClassFindings.Of(data, options),
            LengthMeasure.Truncated(lengths, options.MaxLength ?? lengths.Truncation.Where(share => share.MaxLength <= (tokenizer?.ModelMaxLength ?? 512)).Max(share => share.MaxLength)),
        ];
        var wanted = drafts.OfType<FindingDraft>().SelectMany(draft => draft.Rows).SelectMany(row => new[] { row.Row, row.Other ?? row.Row }).ToHashSet();

        teller.Begin("looking for wrong labels", 0.2);
        var search = data.HasClasses && Wants(options, DataIssue.SuspectedMislabel)
            ? MislabelSearch.Learn(data.Labelled(data.Usable(DataSplit.Train), row => data.Scan.Rows[row].Label), options.MislabelRows, (int)options.Seed, teller.At)
            : null;
        teller.Begin("looking at rows once more", 0.1);
        var (suspects, excerpts) = SecondLook.At(data, search, row => data.Scan.Rows[row].Label, wanted, ExcerptCharacters, teller.At);
        if (search is not null && Suspected(suspects, search, data, options) is { } mislabels)
            drafts = [.. drafts, mislabels];

        DataFinding[] findings = [.. drafts.OfType<FindingDraft>().Where(draft => Wants(options, draft.Code)).Select(draft => draft.Complete(data.Scan, excerpts)).OrderByDescending(finding => finding.Severity)];
        teller.End();
        return new()
        {
            Files = [.. data.Scan.Files.Select(file => FileOf(file, data.Scan, options.ShownRows))],
            Columns = data.Scan.Columns,
            Guesses = data.Scan.Guesses,
            Labels = ClassFindings.Count(data, ShownLabels),
            Lengths = lengths,
            Findings = findings,
            Recipe = Recommended(findings, data, options),
        };
    }

    /// <summary>What makes a row or a file of no use is always told.</summary>
    private static bool Wants(DataReportOptions options, DataIssue issue) =>
        issue is DataIssue.Encoding or DataIssue.Unreadable or DataIssue.NoText or DataIssue.NoLabel || options.Checks?.Contains(issue) != false;

    private static FindingDraft? Suspected(IReadOnlyList<Suspect> all, MislabelSearch search, DataAnalysis data, DataReportOptions options)
    {
        Suspect[] suspects = [.. all.Where(suspect => suspect.Confidence >= (options.MislabelConfidence ?? 0)).OrderByDescending(suspect => suspect.Margin).ThenBy(suspect => suspect.Row)];
        if (suspects.Length == 0)
            return null;
        int[] rows = [.. data.Usable(DataSplit.Train)];
        var learnt = search.Rows < rows.Length ? FormattableString.Invariant($" It was learnt from {search.Rows:N0} rows.") : "";
        return new(
            DataIssue.SuspectedMislabel, FindingSeverity.Warning, DataSplit.Train, suspects.Length,
            [.. suspects.Take(options.ShownRows).Select(suspect => new DraftRow(suspect.Row, Suggested: suspect.Label, Confidence: suspect.Confidence))],
            FormattableString.Invariant($"A simple model, cross-validated, gives {RowFindings.Share(suspects.Length, rows)} another label; it agrees with {search.Agreement:P0} of all labels.{learnt} The lower that is, the more of its doubts are its own mistakes."),
            "Look at the surest first; relabel or drop what is wrong by line, or all above a confidence that your look has shown to be right.",
            new { SuspectedMislabels = new MislabelAction { Confidence = options.MislabelConfidence, Rows = options.MislabelRows } }, IsRecommended: false);
    }

    private static DataFileReport FileOf(ScannedFile file, DataScan scan, int shown)
    {
        var rows = Enumerable.Range(file.Start, file.End - file.Start).Select(row => scan.Rows[row]).ToArray();
        return new()
        {
            Split = file.Split,
            Name = Path.GetFileName(file.Path),
            Format = Data.DataFile.FormatOf(file.Path),
            Bytes = file.Encoding.Bytes,
            Sha256 = file.Encoding.Sha256,
            Encoding = file.Encoding.Name,
            HasByteOrderMark = file.Encoding.HasByteOrderMark,
            Rows = rows.Length,
            Used = rows.Count(row => row.Unusable is null),
            Dropped = rows.Where(row => row.Unusable is not null).GroupBy(row => row.Unusable!.Value).OrderBy(group => group.Key)
                .ToDictionary(group => group.Key, group => new DroppedLines(group.LongCount(), [.. group.Select(row => row.Line).Take(shown)])),
        };
    }

    private static CleaningRecipe Recommended(IEnumerable<DataFinding> findings, DataAnalysis data, DataReportOptions options)
    {
        var recipe = new JsonObject();
        foreach (var (name, value) in findings.Where(finding => finding.IsRecommended).SelectMany(finding => finding.Recipe!).DistinctBy(member => member.Key))
            recipe[name] = value?.DeepClone();
        var holdsOut = data.Scan.Files.All(file => file.Split != DataSplit.Validation) && data.Usable(DataSplit.Train).Skip(FewRows).Any();
        return recipe.Deserialize<CleaningRecipe>(SnakeCaseJson.Options)! with
        {
            Columns = data.Scan.Columns,
            ValidationSplit = holdsOut ? UsualSplit : null,
            Seed = options.Seed,
        };
    }
}
