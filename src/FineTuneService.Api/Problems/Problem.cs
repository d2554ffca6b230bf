using System.Text.Json.Serialization;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Problems;

/// <summary>What every refusal looks like (RFC 9457, <c>application/problem+json</c>).</summary>
public sealed record Problem
{
    public string Type { get; init; } = "about:blank";

    /// <summary>The status in words.</summary>
    public required string Title { get; init; }

    public required int Status { get; init; }

    /// <summary>What is wrong with this very request.</summary>
    public string? Detail { get; init; }

    /// <summary>Path of the request.</summary>
    public required string Instance { get; init; }

    /// <summary>Find the request in the service's log by it.</summary>
    public required string TraceId { get; init; }

    /// <summary>Everything that you can mend, all at once.</summary>
    public IReadOnlyList<Fault>? Faults { get; init; }

    /// <summary>For <see cref="OpenAi.OpenAiError"/>.</summary>
    [JsonIgnore]
    internal string? Code { get; init; }

    /// <summary>When it may have passed, for the header of that name.</summary>
    [JsonIgnore]
    internal TimeSpan? RetryAfter { get; init; }
}

/// <summary>Ends a request with this status and explanation.</summary>
/// <param name="cause">For the log.</param>
public sealed class ProblemException(int status, string detail, Exception? cause = null) : Exception(detail, cause)
{
    public int Status { get; } = status;

    /// <summary>A short stable name of the cause.</summary>
    public string? Code { get; private init; }

    /// <summary>When the same request may succeed; null: not by waiting.</summary>
    public TimeSpan? RetryAfter { get; init; }

    public static ProblemException NotFound(string what, string id) => new(StatusCodes.Status404NotFound, $"There is no {what} '{id}'.") { Code = $"{what.Replace(' ', '_')}_not_found" };

    public static ProblemException Conflict(string detail) => new(StatusCodes.Status409Conflict, detail);
}
