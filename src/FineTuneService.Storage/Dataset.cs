namespace FineTuneService.Storage;

/// <summary>An uploaded file, immutable once its row exists. <see cref="Profile"/> is JSON: columns, first rows, label counts.</summary>
public sealed class Dataset
{
    public required string Id { get; init; }
    public string ProjectId { get; init; } = Project.Default;
    public required string Name { get; init; }
    public required string FileName { get; init; }

    /// <summary><c>csv</c>, <c>tsv</c>, <c>jsonl</c> or <c>parquet</c>.</summary>
    public required string Format { get; init; }
    public required string Sha256 { get; init; }
    public required long Bytes { get; init; }
    public required long Rows { get; init; }
    public required string Profile { get; init; }

    /// <summary>JSON of what it was made of and how; null for one that was uploaded.</summary>
    public string? Origin { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}
