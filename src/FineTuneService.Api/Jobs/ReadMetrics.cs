using System.Globalization;
using FineTuneService.Api.Paging;
using FineTuneService.Contracts;
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
    /// <param name="points">For a chart: of each metric at most so many numbers, 2 to 2000, all in one answer. Of each stretch of the log these are the lowest and the highest, so that spikes stay; what is not finite counts as the highest. <c>limit</c> is of no account then.</param>
    /// <param name="limit">Numbers on a page, 1 to 10000; 1000 unless given. A log line is never torn, so a page may hold a few more.</param>
    public static async Task<Ok<Page<MetricView, long?>>> Handle(string id, FineTuneDb db, CancellationToken cancel, long after = 0, string? names = null, int? points = null, int? limit = null)
    {
        var size = Page.Limit(limit, usual: 1000, most: 10_000);
        var job = await db.FindJob(id, cancel);
        var wanted = names?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];
        if (points is { } most)
            return Answer(await MetricRollup.Chart(db, job, after, wanted, InBounds(most)).ToListAsync(cancel), hasMore: false);
        var metrics = db.Metrics.AsNoTracking().Where(metric => metric.JobId == id && metric.Seq > after);
        if (wanted.Length > 0)
            metrics = metrics.Where(metric => wanted.Contains(metric.Name));

        var last = await metrics.OrderBy(metric => metric.Seq).Skip(size - 1).Select(metric => (long?)metric.Seq).FirstOrDefaultAsync(cancel) ?? long.MaxValue;
        var rows = await metrics.Where(metric => metric.Seq <= last).OrderBy(metric => metric.Seq).ThenBy(metric => metric.Name).ToListAsync(cancel);
        var hasMore = last < long.MaxValue && await metrics.AnyAsync(metric => metric.Seq > last, cancel);
        return Answer(rows, hasMore);
    }

    private static int InBounds(int points) => points is >= 2 and <= 2000 ? points
        : throw new FaultException("?points", points.ToString(CultureInfo.InvariantCulture), "A chart cannot have so many points.", "Give 2 to 2000.");

    private static Ok<Page<MetricView, long?>> Answer(List<Metric> rows, bool hasMore) =>
        TypedResults.Ok(new Page<MetricView, long?>([.. rows.Select(From)], hasMore, rows.Count == 0 ? null : rows[^1].Seq));

    private static MetricView From(Metric metric) =>
        new(metric.Seq, metric.Name, metric.Step, metric.Epoch, double.IsFinite(metric.Value) ? metric.Value : null, metric.Time);
}
