using System.Text.Json;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Projects;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

public static class CreateJob
{
    /// <summary>Posts a job. The whole specification is judged at once; what was left open is decided, and echoed with reasons.</summary>
    public static async Task<Created<JobView>> Handle(HttpRequest request, FineTuneDb db, ResolveJob resolve, JobQueue queue, TimeProvider clock, CancellationToken cancel) =>
        await Post(await JsonContract.ParseAsync(request.Body, cancel), db, resolve, queue, clock, cancel);

    internal static async Task<Created<JobView>> Post(JsonElement json, FineTuneDb db, ResolveJob resolve, JobQueue queue, TimeProvider clock, CancellationToken cancel)
    {
        var faults = new FaultList();
        if (JobSpecReader.Read(json, faults) is not { } spec)
            throw new FaultException([.. faults.All]);
        var draft = await resolve.FindModels(spec, faults, cancel);
        using var transaction = Transactions.Begin();
        await Quotas.CheckJobs(db, clock, cancel);
        var resolved = await resolve.Resolve(draft, faults, cancel);
        faults.ThrowIfAny();

        var job = NewJob.From(db.Project!, JsonSerializer.Serialize(resolved.Spec, Catalog.Json), JsonSerializer.Serialize(resolved.Resolutions, Catalog.Json), clock.GetMicrosecondsNow());
        await queue.Enqueue(job, cancel);
        transaction.Complete();
        return TypedResults.Created($"/jobs/{job.Id}", JobView.From(job));
    }
}
