using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

public static class ReadJobs
{
    /// <summary>Lists jobs, the newest first.</summary>
    /// <param name="status">Only jobs in this state, or in these, separated by commas: waiting, queued, preparing, running, retrying, paused, succeeded, failed, cancelled.</param>
    /// <param name="sweep">Only the jobs of the sweep with this id.</param>
    /// <param name="limit">Jobs on a page, 1 to 200; 50 unless given.</param>
    /// <param name="after">The <c>next_after</c> of the page before.</param>
    public static async Task<Ok<Page<JobView, string?>>> List(FineTuneDb db, CancellationToken cancel, string? status = null, string? sweep = null, int? limit = null, string? after = null)
    {
        var size = Page.Limit(limit, usual: 50, most: 200);
        var jobs = db.Jobs.AsNoTracking();
        if (status is not null)
        {
            var wanted = status.Split(',', StringSplitOptions.TrimEntries).Select(StatusNamed).ToArray();
            jobs = jobs.Where(job => wanted.Contains(job.Status));
        }
        if (sweep is not null)
            jobs = jobs.Where(job => job.SweepId == sweep);
        if (after is not null)
            jobs = jobs.Where(job => string.Compare(job.Id, after) < 0);
        return TypedResults.Ok(Page.Of<Job, JobView, string?>(await jobs.OrderByDescending(job => job.Id).Take(size + 1).ReadAsync(db, cancel), size, JobView.From, job => job.Id));
    }

    /// <summary>Tells how far a job is: status, reason, progress, best metric, attempt, times, and the resolved specification.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<Ok<JobView>> Get(string id, HttpResponse response, FineTuneDb db, QueueForecast queue, CancellationToken cancel)
    {
        var job = await db.FindJob(id, cancel);
        JobVersion.Tell(response, job);
        return TypedResults.Ok(JobView.From(job) with { Queue = await queue.Of(db, job, cancel) is var (position, start) ? new(position, start) : null });
    }

    private static JobStatus StatusNamed(string name) => Enum.TryParse<JobStatus>(name, ignoreCase: true, out var status) && !int.TryParse(name, out _)
        ? status
        : throw new FaultException("?status", name, "There is no such state.", $"Give one of: {string.Join(", ", Enum.GetNames<JobStatus>()).ToLowerInvariant()}.");

    /// <exception cref="ProblemException">404.</exception>
    public static async Task<Job> FindJob(this FineTuneDb db, string id, CancellationToken cancel) =>
        await db.ReadJobAsync(id, cancel) ?? throw ProblemException.NotFound("job", id);
}
