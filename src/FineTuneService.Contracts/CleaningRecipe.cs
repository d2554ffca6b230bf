using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Contracts;

/// <summary>
/// How a dataset becomes a clean one; the file that <c>finetune clean --recipe</c> reads. What is absent is not done, but that rows which no job could use
/// (unreadable, without text or label) are always dropped. The same files and recipe give the same bytes.
/// </summary>
public sealed record CleaningRecipe
{
    /// <summary>As for the report; resolved in the recipe that comes back.</summary>
    public DataColumns Columns { get; init; } = new();

    /// <summary>What the files are read as; absent: as is detected. What is written is UTF-8.</summary>
    [RegularExpression("utf-8|utf-16le|utf-16be|windows-1252|iso-8859-1")]
    public string? Encoding { get; init; }

    /// <summary>Drops texts with fewer characters than this.</summary>
    [Range(1, 10_000)]
    public int? MinCharacters { get; init; }

    /// <summary>Drops texts with more characters than this.</summary>
    [Range(1, 1 << 20)]
    public int? MaxCharacters { get; init; }

    /// <summary>Of equal texts (but for case and white space) with equal labels, keeps the first.</summary>
    public bool ExactDuplicates { get; init; }

    /// <summary>Of texts that are nearly the same and have the same label, keeps the first; the number is the similarity from which on they are, see <see cref="DataReportOptions.NearDuplicateSimilarity"/>.</summary>
    [Range(0.5, 1.0)]
    public double? NearDuplicates { get; init; }

    public ConflictingLabelsAction? ConflictingLabels { get; init; }

    /// <summary>Which side loses rows that stand, exactly or nearly, in training and in validation or test data.</summary>
    public LeakageAction? Leakage { get; init; }

    public MislabelAction? SuspectedMislabels { get; init; }

    /// <summary>Drops what is no sentence.</summary>
    public bool NonText { get; init; }

    /// <summary>Drops texts in another language or script than most rows.</summary>
    public bool OddLanguage { get; init; }

    public PersonalDataAction? PersonalData { get; init; }

    /// <summary>Rows that a person wants out.</summary>
    public IReadOnlyList<LineSelection>? Drop { get; init; }

    /// <summary>Rows that a person wants to stay, whatever another rule of this recipe says; those that no job could use go all the same.</summary>
    public IReadOnlyList<LineSelection>? Keep { get; init; }

    /// <summary>Labels that a person has put right.</summary>
    public IReadOnlyList<Relabelling>? Relabel { get; init; }

    /// <summary>
    /// Share of the training rows that becomes the validation file, stratified by label; equal and nearly equal texts stay on one side.
    /// Absent: none is held out. Not together with a validation file.
    /// </summary>
    [Range(0.01, 0.5)]
    public double? ValidationSplit { get; init; }

    /// <summary>Adds changed copies of training rows.</summary>
    public Augmentation? Augmentation { get; init; }

    /// <summary>Of the split, of cross-validation and of augmentation.</summary>
    public long Seed { get; init; } = 42;
}

public enum ConflictingLabelsAction
{
    /// <summary>Drops all rows of a text that has several labels.</summary>
    Drop,

    /// <summary>Keeps the first row with the label that most of them have; where no label has most, drops all.</summary>
    Majority,
}

public enum LeakageAction
{
    /// <summary>Training rows go.</summary>
    Train,

    /// <summary>Validation and test rows go.</summary>
    Held,
}

public enum PersonalDataAction
{
    /// <summary>The row goes.</summary>
    Drop,

    /// <summary>What was found is replaced by its kind, such as <c>[email]</c>.</summary>
    Mask,
}

/// <summary>What becomes of labels that cross-validation takes for wrong.</summary>
public sealed record MislabelAction
{
    public MislabelCure Action { get; init; } = MislabelCure.Drop;

    /// <inheritdoc cref="DataReportOptions.MislabelConfidence"/>
    [Range(0.0, 1.0)]
    public double? Confidence { get; init; }

    /// <inheritdoc cref="DataReportOptions.MislabelRows"/>
    [Range(100, 1_000_000)]
    public int Rows { get; init; } = 50_000;
}

public enum MislabelCure
{
    Drop,

    /// <summary>The row gets the suggested label.</summary>
    Relabel,
}

/// <param name="Lines">Lines that the rows begin at, as reports tell them.</param>
public sealed record LineSelection(IReadOnlyList<long> Lines)
{
    public DataSplit Split { get; init; }
}

public sealed record Relabelling
{
    public DataSplit Split { get; init; }

    [Range(1L, long.MaxValue)]
    public required long Line { get; init; }

    [Length(1, 256)]
    public required string Label { get; init; }
}

/// <summary>Copies of training rows with small changes (Wei and Zou 2019, "EDA"; typing errors beside). Probabilities are those of one word.</summary>
public sealed record Augmentation
{
    /// <summary>Changed copies of each row.</summary>
    [Range(1, 16)]
    public int Copies { get; init; } = 1;

    /// <summary>That a word is left out; never all of them.</summary>
    [Range(0.0, 0.5)]
    public double Deletion { get; init; }

    /// <summary>That a word changes places with another one.</summary>
    [Range(0.0, 0.5)]
    public double Swap { get; init; }

    /// <summary>That a word is written in capitals, in small letters or with a capital.</summary>
    [Range(0.0, 0.5)]
    public double Case { get; init; }

    /// <summary>That a letter of a word is left out, doubled, exchanged with the next or replaced by a neighbour on the keyboard.</summary>
    [Range(0.0, 0.5)]
    public double Typos { get; init; }
}
