using System.Text.Json.Nodes;

namespace FineTuneService.Contracts;

/// <summary>What a dataset holds and what is the matter with it; written by <c>finetune report</c>. The same files and options give the same report.</summary>
public sealed record DataReport
{
    /// <summary>Training, validation and test file, those that were given, in this order.</summary>
    public required IReadOnlyList<DataFileReport> Files { get; init; }

    /// <summary>The columns that were taken, named or guessed, and the task that they are for.</summary>
    public required DataColumns Columns { get; init; }

    /// <summary>Why the guessed ones were taken.</summary>
    public required IReadOnlyList<ColumnGuess> Guesses { get; init; }

    /// <summary>Rows of each label, the most frequent first, at most 1,000; absent where rows have no classes.</summary>
    public IReadOnlyList<LabelCount>? Labels { get; init; }

    public required LengthReport Lengths { get; init; }

    /// <summary>The gravest first.</summary>
    public required IReadOnlyList<DataFinding> Findings { get; init; }

    /// <summary>What the findings' proposals come to together; <c>finetune clean</c> and <c>POST /datasets/{id}/clean</c> take it as it is, or changed.</summary>
    public required CleaningRecipe Recipe { get; init; }
}

/// <summary>The parts of a dataset.</summary>
public enum DataSplit { Train, Validation, Test }

/// <summary>A file as it was read: <c>rows = used + the sum of dropped</c>.</summary>
public sealed record DataFileReport
{
    public required DataSplit Split { get; init; }

    /// <summary>The file's name without its folder.</summary>
    public required string Name { get; init; }

    /// <summary><c>csv</c>, <c>tsv</c>, <c>jsonl</c> or <c>parquet</c>.</summary>
    public required string Format { get; init; }
    public required long Bytes { get; init; }

    /// <summary>Of the file's bytes, in lower-case hexadecimal digits.</summary>
    public required string Sha256 { get; init; }

    /// <summary><c>utf-8</c>, <c>utf-16le</c>, <c>utf-16be</c>, <c>windows-1252</c> or <c>iso-8859-1</c>; detected, unless the file begins with a byte order mark.</summary>
    public required string Encoding { get; init; }
    public required bool HasByteOrderMark { get; init; }

    /// <summary>Rows below the header, those that cannot be read included.</summary>
    public required long Rows { get; init; }

    /// <summary>Rows that a job could use.</summary>
    public required long Used { get; init; }

    /// <summary>By reason, those that a job could not use.</summary>
    public required IReadOnlyDictionary<DataIssue, DroppedLines> Dropped { get; init; }
}

/// <param name="FirstLines">At most as many as findings show rows.</param>
public sealed record DroppedLines(long Count, IReadOnlyList<long> FirstLines);

/// <param name="Field">As in <see cref="DataColumns"/>, such as <c>text_column</c>; or <c>task</c>.</param>
public sealed record ColumnGuess(string Field, string Value, string Reason);

public sealed record LabelCount
{
    public required string Label { get; init; }
    public required long Train { get; init; }
    public required long Validation { get; init; }
    public required long Test { get; init; }
}

/// <summary>Lengths of the usable training rows.</summary>
public sealed record LengthReport
{
    /// <summary><c>tokens</c> of the model, special ones included; else <c>words</c>.</summary>
    public required string Unit { get; init; }

    /// <summary>Rows that were measured: all, or a random sample of long files.</summary>
    public required long Rows { get; init; }
    public required bool IsSample { get; init; }
    public required double Mean { get; init; }
    public required int Min { get; init; }
    public required int Median { get; init; }
    public required int P95 { get; init; }
    public required int P99 { get; init; }
    public required int Max { get; init; }
    public required IReadOnlyList<LengthBin> Histogram { get; init; }

    /// <summary>What would be cut off at 64, 128, 256, 512 and at the given <c>max_length</c>, in rising order.</summary>
    public required IReadOnlyList<TruncationShare> Truncation { get; init; }
}

/// <param name="From">The shortest length in it.</param>
/// <param name="To">The longest length in it.</param>
public sealed record LengthBin(int From, int To, long Rows);

/// <param name="Rows">Share of rows that would lose something, in [0, 1].</param>
/// <param name="Units">Share of all tokens (or words) that would be lost, in [0, 1].</param>
public sealed record TruncationShare(int MaxLength, double Rows, double Units);

/// <summary>Something that is the matter with a dataset, and what to do.</summary>
public sealed record DataFinding
{
    public required DataIssue Code { get; init; }
    public required FindingSeverity Severity { get; init; }

    /// <summary>Where it is; absent when it lies between files.</summary>
    public DataSplit? Split { get; init; }

    /// <summary>Rows that have it (of duplicates: those that say nothing new); classes, where it is about classes.</summary>
    public required long Count { get; init; }

    /// <summary>The first of them, or the surest first where there is a degree; at most <see cref="DataReportOptions.ShownRows"/>.</summary>
    public required IReadOnlyList<FlaggedRow> Rows { get; init; }

    /// <summary>What was found, with its numbers.</summary>
    public required string Explanation { get; init; }

    /// <summary>What to do, in a sentence.</summary>
    public required string Remedy { get; init; }

    /// <summary>The remedy as a JSON Merge Patch (RFC 7396) of a <see cref="CleaningRecipe"/>; absent where no recipe helps.</summary>
    public JsonObject? Recipe { get; init; }

    /// <summary>Whether <see cref="DataReport.Recipe"/> has this remedy in it; the others are for a person to decide.</summary>
    public required bool IsRecommended { get; init; }
}

/// <summary>A row that a finding is about. Personal data are masked in all of its texts.</summary>
public sealed record FlaggedRow
{
    public required DataSplit Split { get; init; }

    /// <summary>Line of the file that the row begins at, from 1, the header included; of Parquet the row's number, from 1.</summary>
    public required long Line { get; init; }

    /// <summary>The beginning of the text; absent where it cannot be read.</summary>
    public string? Excerpt { get; init; }
    public string? Label { get; init; }

    /// <summary>What is the matter with this row, where there are several kinds: the kinds of personal data, the fault of an unreadable row, the language.</summary>
    public string? Detail { get; init; }

    /// <summary>The row that it repeats, contradicts or leaks.</summary>
    public RowReference? Other { get; init; }

    /// <summary>Jaccard similarity of the two rows' shingles, computed exactly; 1 for equal texts.</summary>
    public double? Similarity { get; init; }

    /// <summary>The label that the row should probably have.</summary>
    public string? SuggestedLabel { get; init; }

    /// <summary>Out-of-fold probability of <see cref="SuggestedLabel"/>, in [0, 1].</summary>
    public double? Confidence { get; init; }
}

public sealed record RowReference
{
    public required DataSplit Split { get; init; }
    public required long Line { get; init; }
    public string? Excerpt { get; init; }
    public string? Label { get; init; }
}

/// <summary>How far <c>finetune report</c> or <c>clean</c> is: with <c>--progress</c> one such object a line on standard output.</summary>
public sealed record DataProgress
{
    /// <summary>What is being done, such as <c>reading train.csv</c>.</summary>
    public required string Phase { get; init; }

    /// <summary>Of the whole work, in [0, 1], never falling.</summary>
    public required double Fraction { get; init; }

    /// <summary>In the last line, with exit code <see cref="TrainerExit.Faulted"/>: what the user can mend.</summary>
    public IReadOnlyList<Fault>? Faults { get; init; }
}
