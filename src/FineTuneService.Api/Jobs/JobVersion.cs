using System.Globalization;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;

namespace FineTuneService.Api.Jobs;

/// <summary>Optimistic concurrency (RFC 9110, section 13.1.1): an answer's ETag is the job's version, and a request with If-Match holds for it alone.</summary>
internal static class JobVersion
{
    public static void Tell(HttpResponse response, Job job) => response.Headers.ETag = $"\"{job.Version}\"";

    /// <returns>Null when any version will do.</returns>
    /// <exception cref="ProblemException">412, when it is no version of a job.</exception>
    public static int? Meant(HttpRequest request) => request.Headers.IfMatch.ToString() switch
    {
        "" or "*" => null,
        var tag => int.TryParse(tag.Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version
            : throw new ProblemException(StatusCodes.Status412PreconditionFailed, $"If-Match: {tag} is no version of a job. Give the ETag of GET /jobs/{{id}}."),
    };
}
