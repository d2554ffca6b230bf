using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Hangfire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Health;

/// <param name="Status"><c>ok</c>, <c>degraded</c> (requests are served, jobs or uploads wait) or <c>unavailable</c>.</param>
/// <param name="Checks">What was looked at, and what was found.</param>
public sealed record HealthReport(string Status, IReadOnlyDictionary<string, string> Checks);

public static class HealthApi
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan WorkerSilence = TimeSpan.FromMinutes(1);
    private const long LeastFreeBytes = 256L << 20;

    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        var health = routes.MapGroup("/health").WithTags("Health").AllowAnonymous();
        health.MapGet("/live", Live);
        health.MapGet("/ready", Ready).Produces<HealthReport>(StatusCodes.Status503ServiceUnavailable);
    }

    /// <summary>Answers as long as the process does.</summary>
    public static Ok<HealthReport> Live() => TypedResults.Ok(new HealthReport("ok", new Dictionary<string, string>()));

    /// <summary>Looks at the database, the disk, the workers and, with a bucket, the artifact store. Only without the first is the service unavailable, else degraded: jobs can be posted, and wait; where the disk is full, uploads are refused, and deleting makes room.</summary>
    public static async Task<Results<Ok<HealthReport>, JsonHttpResult<HealthReport>>> Ready(
        FineTuneDb db, StorageSettings storage, ArtifactStore artifacts, JobStorage hangfire, TimeProvider clock, CancellationToken cancel)
    {
        var database = await Check(() => db.Database.ExecuteSqlRawAsync("SELECT 1", cancel).WaitAsync(Patience, clock, cancel));
        var free = new DriveInfo(Path.GetFullPath(storage.DataDirectory)).AvailableFreeSpace;
        var disk = free >= LeastFreeBytes ? "ok" : $"only {free >> 20} MB are free";
        var worker = database != "ok" ? "unknown" : await Check(() => Task.Run(() => SeeWorker(hangfire, clock), cancel).WaitAsync(Patience, clock, cancel));
        var checks = new Dictionary<string, string> { ["database"] = database, ["disk"] = disk, ["worker"] = worker };
        if (!artifacts.IsDisk)
            checks["artifacts"] = await Check(() => artifacts.Check(cancel).WaitAsync(Patience, clock, cancel));
        var report = new HealthReport(database != "ok" ? "unavailable" : checks.Values.Any(check => check != "ok") ? "degraded" : "ok", checks);
        return report.Status == "unavailable" ? TypedResults.Json(report, statusCode: StatusCodes.Status503ServiceUnavailable) : TypedResults.Ok(report);
    }

    private static void SeeWorker(JobStorage hangfire, TimeProvider clock)
    {
        var since = clock.GetUtcNow().UtcDateTime - WorkerSilence;
        if (!hangfire.GetMonitoringApi().Servers().Any(server => server.Heartbeat > since))
            throw new InvalidOperationException($"none was heard of for {WorkerSilence.TotalSeconds} seconds");
    }

    private static async Task<string> Check(Func<Task> look)
    {
        try
        {
            await look();
            return "ok";
        }
        catch (ArtifactsAwayException error)
        {
            return error.Message;
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            return error.GetBaseException().Message;
        }
    }
}
