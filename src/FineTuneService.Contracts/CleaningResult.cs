namespace FineTuneService.Contracts;

/// <summary>The layout of the folder that <c>finetune clean</c> writes.</summary>
public sealed class CleanedFolder(string path)
{
    public string Path { get; } = System.IO.Path.GetFullPath(path);

    /// <summary>A <see cref="CleaningResult"/>; written last, so whoever finds it finds everything.</summary>
    public string Result => In("result.json");

    /// <summary>A <see cref="LedgerLine"/> a line: of every input row one, by split and line.</summary>
    public string Ledger => In("ledger.jsonl");

    /// <summary>The format in which an input's rows are written: its own, but of Parquet JSON Lines.</summary>
    public static string FormatOf(string input) => input == "parquet" ? "jsonl" : input;

    /// <summary>A cleaned file.</summary>
    /// <param name="format">See <see cref="FormatOf"/>.</param>
    public string Data(DataSplit split, string format) => In($"{split.ToString().ToLowerInvariant()}.{format}");

    private string In(string name) => System.IO.Path.Combine(Path, name);
}

public sealed record CleaningResult
{
    /// <summary>With columns, encoding and all defaults as they were taken: it gives the same bytes again.</summary>
    public required CleaningRecipe Recipe { get; init; }

    public required IReadOnlyList<CleanedFile> Files { get; init; }

    /// <summary>What became of the rows of each input file.</summary>
    public required IReadOnlyList<CleaningLedger> Ledgers { get; init; }

    /// <summary>Over the files' contents and the recipe, in lower-case hexadecimal digits: the identity of this version of the data.</summary>
    public required string Sha256 { get; init; }
}

public sealed record CleanedFile
{
    public required DataSplit Split { get; init; }

    /// <summary>In the folder.</summary>
    public required string Name { get; init; }
    public required long Rows { get; init; }
    public required long Bytes { get; init; }
    public required string Sha256 { get; init; }
}

/// <summary><c>rows = used + the sum of dropped</c>; <c>used</c> rows are those of the cleaned files, but for augmented copies.</summary>
public sealed record CleaningLedger
{
    public required DataSplit Split { get; init; }
    public required long Rows { get; init; }
    public required long Used { get; init; }

    /// <summary>Used rows that are not as they were: relabelled or masked.</summary>
    public required long Changed { get; init; }

    /// <summary>Used rows that went from training to validation.</summary>
    public required long HeldOut { get; init; }

    /// <summary>Copies that were added.</summary>
    public required long Augmented { get; init; }
    public required IReadOnlyDictionary<DataIssue, DroppedLines> Dropped { get; init; }
}

/// <summary>What became of one input row.</summary>
public sealed record LedgerLine
{
    public required DataSplit Split { get; init; }
    public required long Line { get; init; }

    /// <summary>The file that it went to; absent when it was dropped.</summary>
    public DataSplit? To { get; init; }

    /// <summary>Why it was dropped.</summary>
    public DataIssue? Dropped { get; init; }

    /// <summary>The row on whose account it was dropped.</summary>
    public RowReference? Other { get; init; }

    /// <summary>Its new label.</summary>
    public string? Label { get; init; }

    /// <summary>Pieces of personal data that were masked.</summary>
    public int? Masked { get; init; }
}
