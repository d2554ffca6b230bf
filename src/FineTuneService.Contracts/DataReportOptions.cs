using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Contracts;

/// <summary>What to look for in a dataset; the file that <c>finetune report --options</c> reads. Everything has a default.</summary>
public sealed record DataReportOptions
{
    /// <summary>Columns that were named; the rest is guessed by the usual names, as for a job.</summary>
    public DataColumns Columns { get; init; } = new();

    /// <summary>Folder of a Hugging Face model or tokenizer: lengths are then told in its tokens. Absent: in words.</summary>
    [Length(1, 4096)]
    public string? Model { get; init; }

    /// <summary>Tokens to which rows would be cut, special ones included. Default: the tokenizer's limit, at most 512.</summary>
    [Range(8, 1_000_000)]
    public int? MaxLength { get; init; }

    /// <summary>What is looked for; absent: everything. What a row cannot be read or used for is always told.</summary>
    public IReadOnlyList<DataIssue>? Checks { get; init; }

    /// <summary>Rows that each finding shows at most; its count is always whole.</summary>
    [Range(0, 10_000)]
    public int ShownRows { get; init; } = 100;

    /// <summary>Texts with fewer characters are too short.</summary>
    [Range(1, 10_000)]
    public int MinCharacters { get; init; } = 3;

    /// <summary>Jaccard similarity of two texts' shingles from which on they are near-duplicates.</summary>
    [Range(0.5, 1.0)]
    public double NearDuplicateSimilarity { get; init; } = UsualSimilarity;

    public const double UsualSimilarity = 0.75;

    /// <summary>
    /// How sure the cross-validated baseline must be that a label is wrong: the mean, over repetitions, of the probability of the suggested class, in [0, 1].
    /// Default: as confident learning decides (the class' own mean confidence).
    /// </summary>
    [Range(0.0, 1.0)]
    public double? MislabelConfidence { get; init; }

    /// <summary>Rows that the search for wrong labels looks at, at most; of more rows a random sample is taken, and the report says so.</summary>
    [Range(100, 1_000_000)]
    public int MislabelRows { get; init; } = 50_000;

    public long Seed { get; init; } = 42;
}

/// <summary>Which column is what; the names are those of a job's <c>dataset</c>.</summary>
public sealed record DataColumns
{
    /// <summary>The task that such data are for, as a job names it: <c>text-classification</c>, <c>token-classification</c>, <c>causal-lm</c>, <c>sft</c> or <c>dpo</c>.</summary>
    [RegularExpression("text-classification|token-classification|causal-lm|sft|dpo")]
    public string? Task { get; init; }

    /// <inheritdoc cref="DatasetSpec.TextColumn"/>
    [Length(1, 256)]
    public string? TextColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.TextPairColumn"/>
    [Length(1, 256)]
    public string? TextPairColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.LabelColumn"/>
    [Length(1, 256)]
    public string? LabelColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.MessagesColumn"/>
    [Length(1, 256)]
    public string? MessagesColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.PromptColumn"/>
    [Length(1, 256)]
    public string? PromptColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.InputColumn"/>
    [Length(1, 256)]
    public string? InputColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.CompletionColumn"/>
    [Length(1, 256)]
    public string? CompletionColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.ChosenColumn"/>
    [Length(1, 256)]
    public string? ChosenColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.RejectedColumn"/>
    [Length(1, 256)]
    public string? RejectedColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.TokensColumn"/>
    [Length(1, 256)]
    public string? TokensColumn { get; init; }

    /// <inheritdoc cref="DatasetSpec.TagsColumn"/>
    [Length(1, 256)]
    public string? TagsColumn { get; init; }
}

/// <summary>What can be the matter with a row or a file: the code of a finding, and the reason for which a row was dropped.</summary>
public enum DataIssue
{
    /// <summary>The file is not UTF-8; it can be read as another encoding.</summary>
    Encoding,

    /// <summary>The row cannot be read: a wrong number of fields, broken JSON, bytes that are no text.</summary>
    Unreadable,

    /// <summary>The row has no text, or lacks its answer.</summary>
    NoText,

    /// <summary>The row has no label.</summary>
    NoLabel,

    /// <summary>The text is shorter than any that says something.</summary>
    TooShort,

    /// <summary>The text is far longer than all others.</summary>
    TooLong,

    /// <summary>Tokens beyond <c>max_length</c> would not be read.</summary>
    Truncation,

    /// <summary>The same text, but for case and white space, with the same label.</summary>
    ExactDuplicate,

    /// <summary>Nearly the same text.</summary>
    NearDuplicate,

    /// <summary>The same text has another label elsewhere.</summary>
    ConflictingLabels,

    /// <summary>A training text is, exactly or nearly, one of the validation or test texts.</summary>
    Leakage,

    /// <summary>The label is probably another's.</summary>
    SuspectedMislabel,

    /// <summary>A class has too few rows to be learnt and validated.</summary>
    RareClass,

    /// <summary>Some classes have very many more rows than others.</summary>
    Imbalance,

    /// <summary>A validation or test row has a label that no training row has.</summary>
    UnknownLabel,

    /// <summary>No sentence: markup, encoded bytes, numbers, noise.</summary>
    NonText,

    /// <summary>Another language or script than most rows.</summary>
    OddLanguage,

    /// <summary>Personal data or secrets.</summary>
    PersonalData,

    /// <summary>A person decided so.</summary>
    Chosen,
}
