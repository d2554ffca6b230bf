using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>
/// Where in <see cref="Width"/> lines of a run's log a metric was lowest and highest: of these a chart is drawn, however long the run, and its spikes stay.
/// Written once, when all of its lines are in. What is no number counts as the highest, as Postgres orders it.
/// </summary>
public sealed class MetricRollup
{
    public const int Width = 64;

    public required string JobId { get; init; }
    public required string Name { get; init; }

    /// <summary>The lines' seqs, divided by <see cref="Width"/>.</summary>
    public required long Bucket { get; init; }
    public required double Low { get; init; }
    public required long LowSeq { get; init; }
    public required double High { get; init; }
    public required long HighSeq { get; init; }

    /// <summary>The first line that is in no bucket yet.</summary>
    public static long End(long logSeq) => (logSeq + 1) / Width * Width;

    /// <summary>Rolls up what is in the tables anew, from the bucket of this line on.</summary>
    internal static Task Write(FineTuneDb db, Job job, long from, CancellationToken cancel)
    {
        var (bucket, end) = (from / Width, End(job.LogSeq));
        return bucket * Width >= end ? Task.CompletedTask : db.Database.ExecuteSqlAsync($"""
            INSERT INTO finetune.metric_rollups (job_id, name, bucket, low, low_seq, high, high_seq)
            SELECT job_id, name, seq / {Width}, min(value), (array_agg(seq ORDER BY value, seq))[1], max(value), (array_agg(seq ORDER BY value DESC, seq))[1]
            FROM finetune.metrics WHERE job_id = {job.Id} AND seq >= {bucket * Width} AND seq < {end}
            GROUP BY 1, 2, 3
            """, cancel);
    }

    /// <summary>Of each metric at most so many numbers that have its shape: the lowest and the highest of each stretch of the log.</summary>
    /// <param name="names">Of these metrics alone; none: of all.</param>
    public static IQueryable<Metric> Chart(FineTuneDb db, Job job, long after, string[] names, int points)
    {
        var width = Math.Max(1, (long)Math.Ceiling((job.LogSeq - after) / (points / 2.0))); // Lines in a stretch.
        // Lines from `rolled` on are read one by one, and before the first whole bucket; all of them where buckets are wider than stretches.
        var rolled = width < Width ? after + 1 : Math.Max(after + 1, End(job.LogSeq));
        var first = Math.Min(rolled, ((after / Width) + 1) * Width);
        return db.Metrics.FromSql($"""
            WITH part AS (
                SELECT name, (bucket * {Width} - {after + 1}) / {width} AS stretch, low, low_seq, high, high_seq FROM finetune.metric_rollups
                WHERE job_id = {job.Id} AND bucket >= {first / Width} AND bucket < {rolled / Width} AND (cardinality({names}) = 0 OR name = ANY({names}))
                UNION ALL -- Two ranges of the index; as one condition they would be all of it.
                SELECT name, (seq - {after + 1}) / {width}, value, seq, value, seq FROM finetune.metrics
                WHERE job_id = {job.Id} AND seq > {after} AND seq < {first} AND (cardinality({names}) = 0 OR name = ANY({names}))
                UNION ALL
                SELECT name, (seq - {after + 1}) / {width}, value, seq, value, seq FROM finetune.metrics
                WHERE job_id = {job.Id} AND seq >= {rolled} AND (cardinality({names}) = 0 OR name = ANY({names}))
            ), chosen AS (
                (SELECT DISTINCT ON (name, stretch) name, low_seq AS seq FROM part ORDER BY name, stretch, low, low_seq)
                UNION
                (SELECT DISTINCT ON (name, stretch) name, high_seq FROM part ORDER BY name, stretch, high DESC, high_seq)
            )
            SELECT metric.* FROM chosen CROSS JOIN LATERAL (SELECT * FROM finetune.metrics WHERE job_id = {job.Id} AND seq = chosen.seq AND name = chosen.name LIMIT 1) AS metric
            """).AsNoTracking().OrderBy(metric => metric.Seq).ThenBy(metric => metric.Name);
    }
}
