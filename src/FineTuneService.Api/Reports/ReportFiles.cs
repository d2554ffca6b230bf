using System.Text.Json;
using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Training.Data;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Reports;

/// <summary>What checkpoints keep of their classifier's answers on the validation rows, and these rows' texts.</summary>
public sealed class ReportFiles(FineTuneDb db, DatasetFiles datasets)
{
    /// <summary>Of a later version these may have members that this one does not know.</summary>
    private static readonly JsonSerializerOptions Json = new(SnakeCaseJson.Options) { UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Skip };

    /// <returns>Null where the checkpoint has none.</returns>
    public static async Task<ClassificationReport?> Report(CheckpointFolder folder, CancellationToken cancel)
    {
        var path = Path.Combine(folder.Path, ClassificationReport.FileName);
        return File.Exists(path) ? JsonSerializer.Deserialize<ClassificationReport>(await File.ReadAllBytesAsync(path, cancel), Json) : null;
    }

    public static async Task<IReadOnlyList<ValidationPrediction>> Predictions(CheckpointFolder folder, CancellationToken cancel) =>
        [.. (await File.ReadAllLinesAsync(Path.Combine(folder.Path, ValidationPrediction.FileName), cancel)).Select(line => JsonSerializer.Deserialize<ValidationPrediction>(line, Json)!)];

    /// <summary>The dataset that the validation rows are from; null when it is deleted.</summary>
    public Task<Dataset?> DatasetOf(Job job, CancellationToken cancel)
    {
        var id = IdOf(job);
        return db.Datasets.AsNoTracking().SingleOrDefaultAsync(dataset => dataset.Id == id, cancel);
    }

    public static string IdOf(Job job) => SpecOf(job).Validation ?? SpecOf(job).Train;

    /// <summary>By line; of rows that are not there any more nothing.</summary>
    public async Task<IReadOnlyDictionary<long, (string Text, string? Pair)>> Texts(Job job, IEnumerable<long?> lines, CancellationToken cancel)
    {
        if (await DatasetOf(job, cancel) is { } dataset)
            try
            {
                return RowTexts.Read(await datasets.Find(dataset, cancel), SpecOf(job), lines.OfType<long>().ToHashSet());
            }
            catch (FaultException)
            {
                // Its file has gone: everything but the texts can still be told.
            }
        return new Dictionary<long, (string, string?)>();
    }

    private static DatasetSpec SpecOf(Job job) => StoredJson<JobSpec>.Parse(job.Spec).Dataset;
}
