using System.Text.Json;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Projects;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;

namespace FineTuneService.Api.Jobs;

/// <summary>Stores and queues a job whose models were found: everything of it in one transaction, or nothing.</summary>
public sealed class PostJob(FineTuneDb db, ResolveJob resolve, JobQueue queue, TimeProvider clock)
{
    /// <summary>Jobs of a project that has limits are stored one after another. Whoever waits for that in the database holds a connection, which whoever is at work may need: most wait here.</summary>
    private static readonly SemaphoreSlim Turns = new(4);

    /// <param name="adjust">The last word on what was resolved.</param>
    /// <param name="client">As <see cref="Job.Client"/>.</param>
    /// <param name="answer">Makes the answer, and keeps it for an Idempotency-Key; it belongs to the transaction.</param>
    public async Task<T> Store<T>(JobDraft draft, FaultList faults, Func<ResolvedSpec, ResolvedSpec> adjust, string? client, Func<Job, Task<T>> answer, CancellationToken cancel)
    {
        await Turns.WaitAsync(cancel);
        try
        {
            return await StoreInTurn(draft, faults, adjust, client, answer, cancel);
        }
        finally
        {
            Turns.Release();
        }
    }

    private async Task<T> StoreInTurn<T>(JobDraft draft, FaultList faults, Func<ResolvedSpec, ResolvedSpec> adjust, string? client, Func<Job, Task<T>> answer, CancellationToken cancel)
    {
        using var transaction = Transactions.Begin();
        await Quotas.CheckJobs(db, clock, cancel);
        var resolved = await resolve.Resolve(draft, faults, cancel);
        faults.ThrowIfAny();
        var (spec, resolutions) = adjust(resolved);
        var job = NewJob.From(db.Project!, JsonSerializer.Serialize(spec, Catalog.Json), JsonSerializer.Serialize(resolutions, Catalog.Json), clock.GetMicrosecondsNow(), client: client);
        await queue.Enqueue(job, cancel);
        var told = await answer(job);
        transaction.Complete();
        return told;
    }
}
