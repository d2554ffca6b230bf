using FineTuneService.Api.Jobs;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Parquet;
using Parquet.Schema;

namespace FineTuneService.Api.Exports;

public static class DownloadMetricsParquet
{
    private const int RowsPerGroup = 1 << 16;

    private static readonly DataField<int> Step = new("step");
    private static readonly DataField<double> Epoch = new("epoch");
    private static readonly DateTimeDataField Time = new("time", DateTimeFormat.Timestamp, isAdjustedToUTC: true, unit: DateTimeTimeUnit.Micros);

    /// <summary>Downloads a job's numbers as Apache Parquet, for pandas or DuckDB: a row for each line of its log, a column for each metric, null where a line has none.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<PushStreamHttpResult> Handle(string id, FineTuneDb db, CancellationToken cancel)
    {
        await db.FindJob(id, cancel);
        DataField<double?>[] metrics = [.. (await LogLine.Names(db, id, cancel)).Select(name => new DataField<double?>(name))];
        return TypedResults.Stream(
            async body =>
            {
                await using var file = ScratchFile.Create();
                await Write(LogLine.Of(db, id, cancel), metrics, file, cancel);
                file.Position = 0;
                await file.CopyToAsync(body, cancel);
            },
            "application/vnd.apache.parquet", $"{id}-metrics.parquet");
    }

    private static async Task Write(IAsyncEnumerable<LogLine> lines, DataField<double?>[] metrics, Stream file, CancellationToken cancel)
    {
        await using var parquet = await ParquetWriter.CreateAsync(new ParquetSchema([Step, Epoch, Time, .. metrics]), file, cancellationToken: cancel);
        await foreach (var group in lines.Chunk(RowsPerGroup).WithCancellation(cancel))
        {
            using var rows = parquet.CreateRowGroup();
            await rows.WriteAsync<int>(Step, group.Select(line => line.Step).ToArray(), cancellationToken: cancel);
            await rows.WriteAsync<double>(Epoch, group.Select(line => line.Epoch).ToArray(), cancellationToken: cancel);
            await rows.WriteAsync<DateTime>(Time, group.Select(line => line.Time.UtcDateTime).ToArray(), cancellationToken: cancel);
            foreach (var field in metrics)
                await rows.WriteAsync<double>(field, group.Select(line => line.Metrics.FirstOrDefault(metric => metric.Name == field.Name)?.Value).ToArray(), cancellationToken: cancel);
        }
    }
}
