using System.Diagnostics;
using FineTuneService.Contracts;

namespace FineTuneService.Storage.Telemetry;

/// <summary>
/// Each job is one trace, and its trace id is the job's id without the prefix. So API and workers need to tell each other nothing,
/// and whoever has the one can look up the other. The request that posted the job is linked with it.
/// </summary>
public static class JobTrace
{
    public const string JobId = "finetune.job.id";
    public const string SourceName = "FineTuneService.Jobs";

    public static ActivitySource Source { get; } = new(SourceName);

    /// <summary>The span in which a job gets its row and its ticket; null when nobody collects traces.</summary>
    public static Activity? StartQueueing(Job job)
    {
        var request = Activity.Current;
        var span = Source.StartActivity("queue job", ActivityKind.Producer, Root(job.Id), links: request is null ? [] : [new(request.Context)]);
        if (span is not null)
            request?.AddLink(new(span.Context));
        return span?.SetTag(JobId, job.Id);
    }

    /// <summary>The span of one attempt; null when nobody collects traces.</summary>
    public static Activity? StartRun(Job job) => Source.StartActivity("run job", ActivityKind.Consumer, Root(job.Id))?.SetTag(JobId, job.Id).SetTag("finetune.job.attempt", job.Attempt);

    /// <summary>Without a parent: the ids of spans cannot be chosen, so that nobody knows that of the first.</summary>
    private static ActivityContext Root(string jobId) => Ids.GuidOf(jobId) is { } id ? new(ActivityTraceId.CreateFromString($"{id:N}"), default, ActivityTraceFlags.Recorded) : default;
}
