using System.Text.Json.Nodes;

namespace FineTuneService.Contracts;

public enum FindingSeverity
{
    /// <summary>Good to know.</summary>
    Info,

    /// <summary>The result could be better.</summary>
    Warning,

    /// <summary>The result is not what was wanted.</summary>
    High,
}

/// <summary>Something that a run's numbers show about it, and what to do.</summary>
public sealed record Finding
{
    /// <summary>A short stable name, such as <c>overfitting</c>.</summary>
    public required string Code { get; init; }

    public required FindingSeverity Severity { get; init; }

    /// <summary>The steps that show it, both included.</summary>
    public required int FromStep { get; init; }
    public required int ToStep { get; init; }

    /// <summary>What the numbers say.</summary>
    public required string Explanation { get; init; }

    /// <summary>What to do, in a sentence.</summary>
    public required string Remedy { get; init; }

    /// <summary>The remedy as a JSON Merge Patch (RFC 7396) of the specification, which <c>POST /jobs/{id}/clone</c> takes; absent where no specification helps.</summary>
    public JsonObject? Patch { get; init; }
}
