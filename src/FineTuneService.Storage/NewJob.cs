using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Storage;

/// <summary>The row of a job that was just posted.</summary>
public static class NewJob
{
    /// <param name="spec">Resolved, as <see cref="Job.Spec"/>; its name and scheduling become columns.</param>
    /// <param name="client">As <see cref="Job.Client"/>.</param>
    public static Job From(string projectId, string spec, string resolutions, DateTimeOffset now, string? sweepId = null, string? client = null)
    {
        var json = JsonNode.Parse(spec)!;
        var scheduling = SchedulingIn(json);
        return new()
        {
            Id = Ids.NewJob(),
            ProjectId = projectId,
            Name = json["name"]?.GetValue<string>(),
            Status = scheduling is { AutoStart: true, DependsOn: null or { Count: 0 } } ? JobStatus.Queued : JobStatus.Waiting,
            Reason = scheduling.AutoStart ? null : "It waits to be started.",
            Spec = spec,
            Resolutions = resolutions,
            SweepId = sweepId,
            Client = client,
            Priority = scheduling.Priority,
            DependsOn = [.. scheduling.DependsOn ?? []],
            Requires = scheduling.Requires,
            Deadline = scheduling.Deadline?.ToUniversalTime(),
            MaxRuntimeSeconds = scheduling.MaxRuntimeSeconds,
            CreatedAt = now,
        };
    }

    internal static JobScheduling SchedulingIn(JsonNode spec) => spec["scheduling"]?.Deserialize<JobScheduling>(SnakeCaseJson.Options) ?? new();
}
