using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Preparations;

/// <summary>The body of <c>POST /datasets/{id}/report</c>.</summary>
public sealed record ReportRequest
{
    /// <summary>Id of a dataset with validation rows, to be looked at together with these.</summary>
    [Length(1, 256)]
    public string? Validation { get; init; }

    /// <summary>Id of a dataset with test rows.</summary>
    [Length(1, 256)]
    public string? Test { get; init; }

    /// <summary>Model in whose tokens lengths are told, as a job names it. Default: lengths are told in words.</summary>
    [Length(1, 256)]
    public string? BaseModel { get; init; }

    /// <summary>Commit, branch or tag of a model of the hub.</summary>
    [Length(1, 256)]
    public string? Revision { get; init; }

    /// <summary>What to look for.</summary>
    public DataReportOptions Options { get; init; } = new();
}

/// <summary>The body of <c>POST /datasets/{id}/clean</c>.</summary>
public sealed record CleaningRequest
{
    /// <summary>Id of a dataset with validation rows, which are cleaned, too.</summary>
    [Length(1, 256)]
    public string? Validation { get; init; }

    /// <summary>Id of a dataset with test rows, which are cleaned, too.</summary>
    [Length(1, 256)]
    public string? Test { get; init; }

    /// <summary>What the new dataset is called; the others by the same name with their part. Default: this one's name and "cleaned".</summary>
    [Length(1, 100)]
    public string? Name { get; init; }

    /// <summary>What to do, such as a report's <c>recipe</c>.</summary>
    public required CleaningRecipe Recipe { get; init; }
}
