using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

/// <summary>The body of <c>PATCH /jobs/{id}</c>: what is absent stays.</summary>
public sealed record JobChange
{
    /// <summary>A name for people.</summary>
    [Length(1, 128)]
    public string? Name { get; init; }

    /// <summary>Of meaning until a worker has taken it.</summary>
    [Range(-100, 100)]
    public int? Priority { get; init; }

    /// <summary>The time by which it must have ended, or it is stopped with a checkpoint and fails.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>Your own pairs, all of them anew.</summary>
    [MaxLength(16)]
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }
}

public static class EditJob
{
    /// <summary>Changes a job's name, priority, deadline or metadata. What is learnt stays as it was posted: clone the job for that.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<Ok<JobView>> Handle(string id, HttpContext context, FineTuneDb db, JobRequests requests, TimeProvider clock, CancellationToken cancel)
    {
        await db.FindJob(id, cancel);
        var change = await JsonContract.ReadAsync<JobChange>(context.Request.Body, Catalog.Json, cancel);
        if (change.Deadline <= clock.GetUtcNow())
            throw new FaultException("/deadline", change.Deadline.Value.ToString("O", CultureInfo.InvariantCulture), "This time has passed.", "Give a later one.");
        var job = (await requests.Edit(id, job => Apply(change, job), cancel, JobVersion.Meant(context.Request)))!;
        JobVersion.Tell(context.Response, job);
        return TypedResults.Ok(JobView.From(job));
    }

    private static void Apply(JobChange change, Job job)
    {
        var spec = JsonNode.Parse(job.Spec)!;
        if (change.Name is { } name)
            spec["name"] = job.Name = name;
        if (change.Metadata is { } metadata)
            spec["metadata"] = JsonSerializer.SerializeToNode(metadata, Catalog.Json);
        job.Spec = spec.ToJsonString();
        job.Priority = change.Priority ?? job.Priority;
        job.Deadline = change.Deadline?.ToUniversalTime() ?? job.Deadline;
    }
}
