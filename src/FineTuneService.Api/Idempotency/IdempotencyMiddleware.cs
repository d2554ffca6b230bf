using System.Security.Cryptography;
using System.Text;
using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;
using FineTuneService.Api.Uploads;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Idempotency;

/// <summary>
/// A POST with an <c>Idempotency-Key</c> is done once (draft-ietf-httpapi-idempotency-key-header): who sends it again gets the first answer, whatever became of the first connection.
/// What was refused is not kept, so that it can be tried again with the same key.
/// </summary>
internal sealed class IdempotencyMiddleware(RequestDelegate next, IDbContextFactory<FineTuneDb> databases, TimeProvider clock)
{
    public const string Header = "Idempotency-Key", Replayed = "Idempotent-Replayed";

    private const int MostCharacters = 255;

    public async Task InvokeAsync(HttpContext context)
    {
        if (!HttpMethods.IsPost(context.Request.Method) || context.Request.Headers[Header] is not [{ Length: > 0 } key] || context.GetEndpoint()?.Metadata.GetMetadata<RequiredScope>() is null or { Scope: Scope.ModelsRead })
        {
            await next(context);
            return;
        }
        if (key.Length > MostCharacters)
            throw new ProblemException(StatusCodes.Status400BadRequest, $"The header {Header} has {key.Length} characters. Give at most {MostCharacters}, such as a UUID.");
        var (project, owner) = (Caller.ProjectOf(context), $"owner {Guid.NewGuid():N}");
        var body = RequestFingerprint.IsForm(context.Request) ? null : await RequestFingerprint.Buffer(context.Request, JsonContract.MaxBytes, context.RequestAborted);
        if (await Begin(project, key, owner) is { } known)
        {
            await Replay(context, known, body ?? await UploadForm.Fingerprint(context.Request, context.RequestAborted));
            return;
        }
        await using var work = new IdempotentWork(databases, project, key, owner, clock) { Fingerprint = body is null ? null : Of(context, body) };
        await Do(context, work);
    }

    /// <returns>Null when this request is the first; else the first one's row.</returns>
    private async Task<IdempotentRequest?> Begin(string project, string key, string owner)
    {
        await using var db = await databases.CreateDbContextAsync();
        var now = clock.GetUtcNow();
        var dead = now - IdempotentWork.Patience;
        var begun = await db.Database.ExecuteSqlAsync($"""
            INSERT INTO finetune.idempotent_requests AS first (project_id, key, fingerprint, started_at) VALUES ({project}, {key}, {owner}, {now})
            ON CONFLICT (project_id, key) DO UPDATE SET started_at = {now}, fingerprint = {owner} WHERE first.status IS NULL AND first.started_at < {dead}
            """);
        return begun == 1 ? null : await db.IdempotentRequests.AsNoTracking().SingleOrDefaultAsync(row => row.ProjectId == project && row.Key == key) ?? throw UnderWay();
    }

    private async Task Do(HttpContext context, IdempotentWork work)
    {
        var client = context.Response.Body;
        using var answer = new MemoryStream();
        context.Response.Body = answer;
        context.Features.Set(work);
        work.TellThatItLives();
        try
        {
            await next(context);
            if (!work.IsKept && context.Response.StatusCode is >= 200 and < 300)
            {
                work.Fingerprint ??= Of(context, RequestFingerprint.OfForm(context));
                await using var db = await databases.CreateDbContextAsync();
                await work.Keep(db, context.Response.StatusCode, context.Response.ContentType, context.Response.Headers.Location.FirstOrDefault(), answer.ToArray(), CancellationToken.None);
            }
        }
        finally
        {
            context.Response.Body = client;
        }
        answer.Position = 0;
        await answer.CopyToAsync(client, CancellationToken.None);
    }

    private static async Task Replay(HttpContext context, IdempotentRequest known, string fingerprint)
    {
        if (known.Status is not { } status)
            throw UnderWay();
        if (known.Fingerprint != Of(context, fingerprint))
            throw new ProblemException(StatusCodes.Status422UnprocessableEntity, $"The {Header} '{known.Key}' was used for another request. Give every request a key of its own, and the same only to send it again.");
        var response = context.Response;
        (response.StatusCode, response.ContentType, response.Headers.Location, response.Headers[Replayed]) = (status, known.ContentType, known.Location, "true");
        await response.Body.WriteAsync(known.Body, context.RequestAborted);
    }

    private static string Of(HttpContext context, string body) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{context.Request.Method} {context.Request.Path}{context.Request.QueryString}\n{body}")));

    private static ProblemException UnderWay() => new(StatusCodes.Status409Conflict, $"A request with this {Header} is under way. Send it again soon.") { RetryAfter = TimeSpan.FromSeconds(1) };
}
