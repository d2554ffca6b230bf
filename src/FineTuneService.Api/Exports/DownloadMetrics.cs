using System.Globalization;
using System.Text;
using FineTuneService.Api.Jobs;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Exports;

public static class DownloadMetrics
{
    private static readonly Encoding Utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

    /// <summary>Downloads a job's numbers as CSV (RFC 4180): a row for each line of its log, a column for each metric, empty where a line has none.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<PushStreamHttpResult> Handle(string id, FineTuneDb db, CancellationToken cancel)
    {
        await db.FindJob(id, cancel);
        var names = await LogLine.Names(db, id, cancel);
        return TypedResults.Stream(body => Write(LogLine.Of(db, id, cancel), names, body), "text/csv; charset=utf-8", $"{id}-metrics.csv");
    }

    private static async Task Write(IAsyncEnumerable<LogLine> lines, List<string> names, Stream body)
    {
        await using var csv = new StreamWriter(body, Utf8, bufferSize: 1 << 16, leaveOpen: true) { NewLine = "\r\n" };
        await csv.WriteLineAsync(string.Join(',', ["step", "epoch", "time", .. names.Select(Cell)]));
        await foreach (var line in lines)
        {
            var values = line.Metrics.ToDictionary(metric => metric.Name, metric => metric.Value);
            // A name that has come since the header was written is left out.
            var cells = names.Select(name => values.TryGetValue(name, out var value) ? value.ToString("R", CultureInfo.InvariantCulture) : "");
            await csv.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{line.Step},{line.Epoch:R},{line.Time.UtcDateTime:O},{string.Join(',', cells)}"));
        }
    }

    private static string Cell(string text) => text.AsSpan().ContainsAny(",\"\r\n") ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
}
