using System.Diagnostics.CodeAnalysis;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Native;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

/// <summary>What a job would need of memory, and of time.</summary>
public sealed record JobEstimate : MemoryEstimate
{
    [SetsRequiredMembers]
    public JobEstimate(MemoryEstimate memory, TimeEstimate? time) : base(memory) => Time = time;

    /// <summary>How long it would take; absent when no job like it has succeeded yet.</summary>
    public TimeEstimate? Time { get; }
}

public static class EstimateJob
{
    /// <summary>Forecasts the memory that a job would need, tells whether it is there, and how long the job would take. Nothing is stored or queued; the specification is judged as by <c>POST /jobs</c>.</summary>
    /// <remarks>
    /// No row is tokenized: every one counts as one of <c>max_length</c> tokens, so that short texts need less. The memory is that of the host which answers, and of one process; a job that trains on a GPU
    /// needs at most as much of the GPU's memory.
    /// </remarks>
    public static async Task<Ok<JobEstimate>> Handle(HttpRequest request, FineTuneDb db, ResolveJob resolve, IConfiguration configuration, CancellationToken cancel)
    {
        var faults = new FaultList();
        if (JobSpecReader.Read(await JsonContract.ParseAsync(request.Body, cancel), faults) is not { } spec)
            throw new FaultException([.. faults.All]);
        var draft = await resolve.FindModels(spec, faults, cancel);
        using var transaction = Transactions.Begin(); // Never completed: its locks go with it.
        var resolved = (await resolve.Resolve(draft, faults, cancel)).Spec;
        faults.ThrowIfAny();
        var limit = configuration["Worker:MemoryLimit"] is { Length: > 0 } given ? MemoryLimit.Parse("Worker:MemoryLimit", given) : long.MaxValue;
        var memory = MemoryEstimate.Of(resolved, draft.Model!.Config!, resolve.WorkloadOf(draft, resolved), Math.Min(limit, new AvailableMemory().Bytes));
        return TypedResults.Ok(new JobEstimate(memory, await TimeEstimate.Of(db, resolved, resolve.TrainRowsOf(draft), cancel)));
    }
}
