using System.Runtime.CompilerServices;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Exports;

/// <summary>The numbers that one line of a run's log has.</summary>
internal sealed record LogLine(int Step, double Epoch, DateTimeOffset Time, IReadOnlyList<Metric> Metrics)
{
    /// <summary>A job's lines in the order of the log, read as they are needed: a long run has millions of numbers.</summary>
    public static async IAsyncEnumerable<LogLine> Of(FineTuneDb db, string jobId, [EnumeratorCancellation] CancellationToken cancel)
    {
        var line = new List<Metric>();
        await foreach (var metric in db.Metrics.AsNoTracking().Where(metric => metric.JobId == jobId).OrderBy(metric => metric.Seq).ThenBy(metric => metric.Name).AsAsyncEnumerable().WithCancellation(cancel))
        {
            if (line.Count > 0 && line[0].Seq != metric.Seq)
            {
                yield return From(line);
                line = [];
            }
            line.Add(metric);
        }
        if (line.Count > 0)
            yield return From(line);
    }

    /// <summary>What a job's lines have numbers of, in the order of the alphabet.</summary>
    public static Task<List<string>> Names(FineTuneDb db, string jobId, CancellationToken cancel) =>
        db.Metrics.Where(metric => metric.JobId == jobId).Select(metric => metric.Name).Distinct().OrderBy(name => name).ToListAsync(cancel);

    private static LogLine From(List<Metric> metrics) => new(metrics[0].Step, metrics[0].Epoch, metrics[0].Time, metrics);
}
