using System.Globalization;
using System.Text.Json;

namespace FineTuneService.Client;

/// <summary>The service has refused a request, and says why: <see cref="Problem"/> has every fault, each with its pointer and a remedy.</summary>
public sealed class FineTuneException : Exception
{
    internal FineTuneException(string message, int status, string? response, IReadOnlyDictionary<string, IEnumerable<string>> headers, Exception? cause)
        : this(message, status, response, ProblemIn(response), headers, cause) { }

    private FineTuneException(string message, int status, string? response, Problem? problem, IReadOnlyDictionary<string, IEnumerable<string>> headers, Exception? cause)
        : base(Describe(message, status, problem), cause)
    {
        (Status, Response, Problem) = (status, response, problem);
        RetryAfter = headers.TryGetValue("Retry-After", out var values) && double.TryParse(values.FirstOrDefault(), CultureInfo.InvariantCulture, out var seconds) ? TimeSpan.FromSeconds(seconds) : null;
    }

    /// <summary>The answer's HTTP status.</summary>
    public int Status { get; }

    /// <summary>The answer's text.</summary>
    public string? Response { get; }

    /// <summary>What the service says (RFC 9457); null when something before it has answered.</summary>
    public Problem? Problem { get; }

    /// <summary>After which the same request may succeed; null where the service does not say.</summary>
    public TimeSpan? RetryAfter { get; }

    private static string Describe(string message, int status, Problem? problem) => problem is null
        ? string.Create(CultureInfo.InvariantCulture, $"The service answered with status {status}. {message}").TrimEnd()
        : string.Join(Environment.NewLine, [$"{problem.Title}. {problem.Detail}".TrimEnd(), .. (problem.Faults ?? []).Select(fault => $"{fault.Pointer}{(fault.Value is null ? "" : $" = {fault.Value}")}: {fault.Message} {fault.Remedy}")]);

    private static Problem? ProblemIn(string? response)
    {
        try
        {
            return response is { Length: > 0 } && JsonSerializer.Deserialize<Problem>(response) is { Title: not null } problem ? problem : null;
        }
        catch (JsonException)
        {
            return null; // A proxy's page.
        }
    }
}
