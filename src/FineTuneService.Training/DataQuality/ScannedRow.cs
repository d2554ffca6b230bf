using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>What is kept of a row while its text is not; few bytes, as there may be millions.</summary>
internal readonly record struct ScannedRow
{
    public required DataSplit Split { get; init; }
    public required long Line { get; init; }

    /// <summary>See <see cref="RowText.Key"/>; 0 where the row has no text.</summary>
    public UInt128 Key { get; init; }

    /// <summary>Number of its label in <see cref="DataScan.Labels"/>; −1: none.</summary>
    public int Label { get; init; }

    /// <summary>Why no job could use it; null: it can.</summary>
    public DataIssue? Unusable { get; init; }
    public int Characters { get; init; }
    public int Words { get; init; }
    public TextKind Kind { get; init; }

    /// <summary>See <see cref="TextLanguage"/>.</summary>
    public byte Language { get; init; }
    public PersonalKinds Personal { get; init; }

    /// <summary>Position among all rows of the first with this key; its own for a row without text.</summary>
    public int First { get; init; }
}
