using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Workers;

public static class WorkersApi
{
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(15);

    public static void MapWorkers(this IEndpointRouteBuilder routes) =>
        routes.MapGroup("/workers").WithTags("Workers").RequireScopes("jobs").MapGet("/", List).Refuses(StatusCodes.Status503ServiceUnavailable);

    /// <summary>Tells which workers there are, what each can do and runs, and how many jobs wait for which kind of worker.</summary>
    public static async Task<Ok<WorkersView>> List(FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        var now = clock.GetUtcNow();
        var jobs = (await db.Jobs.Where(job => job.Status == JobStatus.Preparing || job.Status == JobStatus.Running).Select(job => new { job.Id, job.Worker }).ToListAsync(cancel)).ToLookup(job => job.Worker, job => job.Id);
        var workers = await db.Workers.AsNoTracking().OrderBy(worker => worker.Id).ToListAsync(cancel);
        return TypedResults.Ok(new WorkersView([.. workers.Select(worker => View(worker, jobs[worker.Id], now))], await QueueView.Read(db, now, cancel)));
    }

    private static WorkerView View(WorkerHost worker, IEnumerable<string> jobs, DateTimeOffset now) => new()
    {
        Id = worker.Id,
        Machine = worker.Machine,
        State = now - worker.HeartbeatAt > Silence ? WorkerState.Silent : worker.Draining ? WorkerState.Draining : WorkerState.Alive,
        Capabilities = worker.Capabilities,
        Slots = worker.Slots,
        Busy = worker.Busy,
        Jobs = [.. jobs.Order(StringComparer.Ordinal)],
        Version = worker.Version,
        StartedAt = worker.StartedAt,
        HeartbeatAt = worker.HeartbeatAt,
    };
}
