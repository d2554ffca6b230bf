using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Native;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

public static class EstimateJob
{
    /// <summary>Forecasts the memory that a job would need, and tells whether it is there. Nothing is stored or queued; the specification is judged as by <c>POST /jobs</c>.</summary>
    /// <remarks>
    /// No row is tokenized: every one counts as one of <c>max_length</c> tokens, so that short texts need less. The memory is that of the host which answers, and of one process; a job that trains on a GPU
    /// needs at most as much of the GPU's memory.
    /// </remarks>
    public static async Task<Ok<MemoryEstimate>> Handle(HttpRequest request, ResolveJob resolve, IConfiguration configuration, CancellationToken cancel)
    {
        var faults = new FaultList();
        if (JobSpecReader.Read(await JsonContract.ParseAsync(request.Body, cancel), faults) is not { } spec)
            throw new FaultException([.. faults.All]);
        var draft = await resolve.FindModels(spec, faults, cancel);
        using var transaction = Transactions.Begin(); // Never completed: its locks go with it.
        var resolved = (await resolve.Resolve(draft, faults, cancel)).Spec;
        faults.ThrowIfAny();
        var limit = configuration["Worker:MemoryLimit"] is { Length: > 0 } given ? MemoryLimit.Parse("Worker:MemoryLimit", given) : long.MaxValue;
        return TypedResults.Ok(MemoryEstimate.Of(resolved, draft.Model!.Config!, resolve.WorkloadOf(draft, resolved), Math.Min(limit, new AvailableMemory().Bytes)));
    }
}
