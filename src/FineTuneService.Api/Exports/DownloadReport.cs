using System.Text.Json;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Exports;

public static class DownloadReport
{
    private const int PointsOfACurve = 800;

    /// <summary>Reads a job as one HTML page to keep, to send or to print, which needs nothing else: outcome, findings, curves, evaluations, checkpoints, specification.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<ContentHttpResult> Handle(string id, HttpResponse response, FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        var job = await db.FindJob(id, cancel);
        var started = await db.Events.AsNoTracking().Where(happened => happened.JobId == id && happened.Type == "started").OrderByDescending(happened => happened.Id).Select(happened => happened.Data).FirstOrDefaultAsync(cancel);
        var page = new ReportPage
        {
            Job = JobView.From(job),
            MadeAt = clock.GetUtcNow(),
            Started = started is null ? null : JsonSerializer.Deserialize<TrainingEvent>(started, SnakeCaseJson.Options) as RunStarted,
            Findings = await ReadFindings.Of(db, id, cancel),
            Curves = [.. (await MetricRollup.Chart(db, job, 0, [], PointsOfACurve).ToListAsync(cancel)).GroupBy(metric => metric.Name).Select(curve => new Curve(curve.Key, [.. curve.Select(metric => (metric.Step, metric.Value))]))],
            Evaluations = await db.Metrics.AsNoTracking().Where(metric => metric.JobId == id && (metric.Name.StartsWith("eval_") || metric.Name.StartsWith("test_"))).OrderBy(metric => metric.Seq).ThenBy(metric => metric.Name).ToListAsync(cancel),
            Checkpoints = await db.Checkpoints.AsNoTracking().Where(row => row.JobId == id && row.DeletedAt == null).OrderBy(row => row.Step).ToListAsync(cancel),
        };
        response.Headers.ContentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'"; // Should an escape be missing, nothing runs.
        return TypedResults.Content(page.Html(), "text/html; charset=utf-8");
    }
}
