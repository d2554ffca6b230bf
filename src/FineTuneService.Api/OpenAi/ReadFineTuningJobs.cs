using System.Text.Json;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

public static class ReadFineTuningJobs
{
    private const string Metadata = "metadata";

    /// <summary>Lists fine-tuning jobs, the newest first.</summary>
    /// <remarks>Only those with these metadata: <c>metadata[key]=value</c>, as often as needed; or <c>metadata=null</c>, those without any.</remarks>
    /// <param name="after">The id of the last job of the page before.</param>
    /// <param name="limit">Jobs on a page, 1 to 100; 20 unless given.</param>
    public static async Task<JsonHttpResult<OpenAiList<FineTuningJob>>> List(HttpRequest request, FineTuneDb db, TimeProvider clock, CancellationToken cancel, string? after = null, int? limit = null)
    {
        var size = Page.Limit(limit, usual: 20, most: 100);
        var jobs = WithMetadata(request.Query, db).AsNoTracking();
        if (after is not null)
        {
            var last = OpenAiIds.JobAfter(after);
            jobs = jobs.Where(job => string.Compare(job.Id, last) < 0);
        }
        var rows = await jobs.OrderByDescending(job => job.Id).Take(size + 1).ToListAsync(cancel);
        return OpenAiJson.Answer(OpenAiList.Of(await View(db, rows, clock, cancel), size));
    }

    /// <summary>Tells how far a fine-tuning job is.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<JsonHttpResult<FineTuningJob>> Get(string id, FineTuneDb db, TimeProvider clock, CancellationToken cancel) =>
        OpenAiJson.Answer((await View(db, [await db.FindFineTuningJob(id, cancel)], clock, cancel))[0]);

    /// <exception cref="ProblemException">404.</exception>
    internal static async Task<Job> FindFineTuningJob(this FineTuneDb db, string id, CancellationToken cancel)
    {
        var jobId = OpenAiIds.JobOf(id);
        return await db.Jobs.AsNoTracking().FirstOrDefaultAsync(job => job.Id == jobId, cancel) ?? throw ProblemException.NotFound("fine-tuning job", id);
    }

    internal static async Task<IReadOnlyList<FineTuningJob>> View(FineTuneDb db, IReadOnlyList<Job> jobs, TimeProvider clock, CancellationToken cancel)
    {
        var ended = jobs.Where(job => job.Status.IsTerminal()).Select(job => job.Id).ToList();
        var tokens = await db.Metrics.Where(metric => ended.Contains(metric.JobId) && metric.Name == "num_input_tokens_seen")
            .GroupBy(metric => metric.JobId).Select(ofJob => new { ofJob.Key, Most = ofJob.Max(metric => metric.Value) }).ToDictionaryAsync(count => count.Key, count => count.Most, cancel);
        var (project, now) = (await ModelName.ProjectSlug(db, cancel), clock.GetUtcNow());
        return [.. jobs.Select(job => FineTuningJob.From(job, project, tokens.TryGetValue(job.Id, out var count) ? count : null, now))];
    }

    private static IQueryable<Job> WithMetadata(IQueryCollection query, FineTuneDb db)
    {
        if (query[Metadata] == "null")
            return db.Jobs.FromSql($"SELECT * FROM finetune.jobs WHERE coalesce(spec->'metadata', jsonb_build_object()) = jsonb_build_object()");
        var wanted = query.Where(one => one.Key.StartsWith(Metadata + "[", StringComparison.Ordinal) && one.Key[^1] == ']').ToDictionary(one => one.Key[(Metadata.Length + 1)..^1], one => one.Value.ToString());
        if (wanted.Count == 0)
            return db.Jobs;
        if (wanted.Any(pair => pair.Key.Contains('\0') || pair.Value.Contains('\0')))
            throw new FaultException("?metadata", null, "This is no valid text.", "Remove NUL characters.");
        var json = JsonSerializer.Serialize(wanted);
        return db.Jobs.FromSql($"SELECT * FROM finetune.jobs WHERE spec->'metadata' @> {json}::jsonb");
    }
}
