using System.Data.Common;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using FineTuneService.Api.OpenAi;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.WebUtilities;

namespace FineTuneService.Api.Problems;

/// <summary>Turns whatever ends a request badly into a <see cref="Problem"/>, or an <see cref="OpenAiError"/> for OpenAI's clients; a defect of ours shows its trace id and nothing of its inside.</summary>
public sealed partial class ProblemMiddleware(RequestDelegate next, ILogger<ProblemMiddleware> log)
{
    private const string NoSuchCharacter = "22021"; // Postgres takes no NUL in a text.

    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
            if (context.Response is { StatusCode: >= 400, HasStarted: false } response)
                await Write(context, Describe(context, response.StatusCode, Hint(response.StatusCode), null));
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has gone; nobody reads an answer.
        }
        catch (Exception error) when (!context.Response.HasStarted)
        {
            var problem = Explain(context, error);
            if (problem.Status >= 500)
                log.LogError(error, "{Method} {Path} failed", context.Request.Method, context.Request.Path);
            context.Response.Clear();
            await Write(context, problem);
        }
    }

    /// <summary>What the client is told of this error.</summary>
    public static Problem Explain(HttpContext context, Exception error)
    {
        var (status, detail, faults) = Explain(error);
        return Describe(context, status, detail, faults) with { Code = (error as ProblemException)?.Code, RetryAfter = (error as ProblemException)?.RetryAfter };
    }

    private static (int Status, string? Detail, IReadOnlyList<Fault>? Faults) Explain(Exception error) => error switch
    {
        FaultException faulty => (StatusCodes.Status422UnprocessableEntity, faulty.Faults.Count == 1 ? "One fault was found." : $"{faulty.Faults.Count} faults were found.", faulty.Faults),
        StaleVersionException stale => (StatusCodes.Status412PreconditionFailed, $"{stale.Message} Read it again, and decide anew.", null),
        QuotaException quota => (StatusCodes.Status429TooManyRequests, quota.Message, null),
        ProblemException problem => (problem.Status, problem.Message, null),
        BadHttpRequestException bad when QueryFault(bad.Message) is { } fault => (StatusCodes.Status422UnprocessableEntity, "One fault was found.", [fault]),
        BadHttpRequestException bad => (bad.StatusCode, bad.Message, null),
        IOException when FullDisk.Is(error) => (StatusCodes.Status507InsufficientStorage, "The service's disk is full. Delete datasets or checkpoints, or ask its operator.", null),
        DbException { SqlState: NoSuchCharacter } or { InnerException: DbException { SqlState: NoSuchCharacter } } => (StatusCodes.Status400BadRequest, "The request holds a NUL character, which no name and no id has.", null),
        DbException { IsTransient: true } or { InnerException: DbException { IsTransient: true } } => (StatusCodes.Status503ServiceUnavailable, "The database cannot be reached; try again soon.", null),
        ArtifactsAwayException => (StatusCodes.Status503ServiceUnavailable, "The artifact store cannot be reached; try again soon.", null),
        ArtifactDamagedException damaged => (StatusCodes.Status502BadGateway, $"{damaged.Message} Tell the service's operator.", null),
        _ => (StatusCodes.Status500InternalServerError, "This is a defect of the service. Its log tells more under the trace id.", null),
    };

    /// <summary>Minimal APIs tell a query parameter of the wrong kind only in words.</summary>
    private static Fault? QueryFault(string message) => UnboundParameter().Match(message) is { Success: true } match
        ? new($"?{match.Groups["name"].Value}", match.Groups["value"].Value, $"This is no {match.Groups["type"].Value}.", "Correct the parameter, or leave it out.")
        : null;

    private static string? Hint(int status) => status switch
    {
        StatusCodes.Status401Unauthorized => "No key came with the request, or one that is unknown, revoked or expired. Send Authorization: Bearer and a key of this service.",
        StatusCodes.Status403Forbidden => "This key has not the scope that is needed here; /swagger names it.",
        StatusCodes.Status429TooManyRequests => "Too many requests; the header Retry-After tells for how many seconds to wait.",
        StatusCodes.Status404NotFound => "There is nothing at this address; /swagger shows what there is.",
        StatusCodes.Status405MethodNotAllowed => "This address does not know this method; the header Allow names those it knows.",
        StatusCodes.Status415UnsupportedMediaType => "The Content-Type is not what is expected here; /swagger names it.",
        _ => null,
    };

    private static Problem Describe(HttpContext context, int status, string? detail, IReadOnlyList<Fault>? faults) => new()
    {
        Title = ReasonPhrases.GetReasonPhrase(status),
        Status = status,
        Detail = detail,
        Instance = context.Request.Path,
        TraceId = Activity.Current?.TraceId.ToHexString() ?? context.TraceIdentifier,
        Faults = faults,
    };

    private static Task Write(HttpContext context, Problem problem)
    {
        if (problem.RetryAfter is { } wait)
            context.Response.Headers.RetryAfter = Math.Ceiling(wait.TotalSeconds).ToString(CultureInfo.InvariantCulture);
        if (OpenAiError.IsFor(context))
            return OpenAiError.Write(context, problem);
        (context.Response.StatusCode, context.Response.ContentLength) = (problem.Status, null);
        return context.Response.WriteAsJsonAsync(problem, SnakeCaseJson.Options, "application/problem+json", context.RequestAborted);
    }

    [GeneratedRegex("""^Failed to bind parameter "(Nullable<)?(?<type>\w+)>?(\[\])? (?<name>\w+)" from "(?<value>.*)"\.$""", RegexOptions.Singleline)]
    private static partial Regex UnboundParameter();
}
