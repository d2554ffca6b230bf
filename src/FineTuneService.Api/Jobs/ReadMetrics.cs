using FineTuneService.Api.Paging;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

/// <summary>One number of one step.</summary>
/// <param name="Seq">Position in the run's log; the numbers of one log line share it.</param>
/// <param name="Name">Such as <c>loss</c>, <c>learning_rate</c>, <c>eval_accuracy</c>.</param>
/// <param name="Value">Absent when it is infinite or not a number, for which JSON has no word.</param>
public sealed record MetricView(long Seq, string Name, int Step, double Epoch, double? Value, DateTimeOffset Time);

public static class ReadMetrics
{
    /// <summary>Reads a job's numbers in the order in which they were logged.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="after">Only what was logged after this <c>seq</c>: poll with the last <c>next_after</c>.</param>
    /// <param name="names">Only these metrics, separated by commas: <c>loss,eval_accuracy</c>.</param>
    /// <param name="limit">Numbers on a page, 1 to 10000; 1000 unless given. A log line is never torn, so a page may hold a few more.</param>
    public static async Task<Ok<Page<MetricView, long?>>> Handle(string id, FineTuneDb db, CancellationToken cancel, long after = 0, string? names = null, int? limit = null)
    {
        var size = Page.Limit(limit, usual: 1000, most: 10_000);
        await db.FindJob(id, cancel);
        var metrics = db.Metrics.AsNoTracking().Where(metric => metric.JobId == id && metric.Seq > after);
        if (names?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) is { Length: > 0 } wanted)
            metrics = metrics.Where(metric => wanted.Contains(metric.Name));

        var last = await metrics.OrderBy(metric => metric.Seq).Skip(size - 1).Select(metric => (long?)metric.Seq).FirstOrDefaultAsync(cancel) ?? long.MaxValue;
        var rows = await metrics.Where(metric => metric.Seq <= last).OrderBy(metric => metric.Seq).ThenBy(metric => metric.Name).ToListAsync(cancel);
        var hasMore = last < long.MaxValue && await metrics.AnyAsync(metric => metric.Seq > last, cancel);
        return TypedResults.Ok(new Page<MetricView, long?>([.. rows.Select(From)], hasMore, rows.Count == 0 ? null : rows[^1].Seq));
    }

    private static MetricView From(Metric metric) =>
        new(metric.Seq, metric.Name, metric.Step, metric.Epoch, double.IsFinite(metric.Value) ? metric.Value : null, metric.Time);
}
