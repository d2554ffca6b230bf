using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Api.Paging;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

/// <summary>A checkpoint that is kept.</summary>
/// <param name="FineTunedModelCheckpoint">Its name as a model.</param>
public sealed record FineTuningCheckpoint(string Id, long CreatedAt, string FineTunedModelCheckpoint, int StepNumber, string FineTuningJobId, CheckpointMetrics Metrics)
{
    public string Object => "fine_tuning.job.checkpoint";
}

/// <summary>The numbers at a checkpoint; absent where there are none, for a null breaks the .NET client. Every evaluation is over all validation rows, so <c>valid</c> and <c>full_valid</c> are the same.</summary>
public sealed record CheckpointMetrics
{
    public required int Step { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? TrainLoss { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? TrainMeanTokenAccuracy { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? ValidLoss { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? ValidMeanTokenAccuracy { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? FullValidLoss { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? FullValidMeanTokenAccuracy { get; init; }
}

public static class ReadFineTuningCheckpoints
{
    private const string Loss = "loss", Accuracy = "mean_token_accuracy";

    /// <summary>Lists a fine-tuning job's checkpoints that are kept, the newest first; each answers completions under its own name.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="after">The id of the last checkpoint of the page before.</param>
    /// <param name="limit">Checkpoints on a page, 1 to 100; 10 unless given.</param>
    public static async Task<JsonHttpResult<OpenAiPage<FineTuningCheckpoint>>> Handle(string id, FineTuneDb db, CancellationToken cancel, string? after = null, int? limit = null)
    {
        var size = Page.Limit(limit, usual: 10, most: 100);
        var job = await db.FindFineTuningJob(id, cancel);
        var before = after is null ? int.MaxValue : OpenAiIds.StepOf(after);
        var rows = await db.Checkpoints.AsNoTracking().Where(row => row.JobId == job.Id && row.DeletedAt == null && row.Step < before).OrderByDescending(row => row.Step).Take(size + 1).ToListAsync(cancel);
        var model = ModelName.Of(job, await ModelName.ProjectSlug(db, cancel));
        var train = await db.Metrics.AsNoTracking().Where(metric => metric.JobId == job.Id && (metric.Name == Loss || metric.Name == Accuracy)).OrderBy(metric => metric.Step).ToListAsync(cancel);
        return OpenAiJson.Answer(OpenAiList.PageOf(
            [.. rows.Select(row => new FineTuningCheckpoint(OpenAiIds.Checkpoint(job.Id, row.Step), row.CreatedAt.ToUnixTimeSeconds(), ModelName.OfCheckpoint(model, row.Step), row.Step, id, MetricsOf(row, train)))],
            size, checkpoint => checkpoint.Id));
    }

    private static CheckpointMetrics MetricsOf(Checkpoint row, List<Metric> train)
    {
        var evaluated = JsonSerializer.Deserialize<Dictionary<string, double>>(row.Metrics)!;
        var (loss, accuracy) = (Finite(evaluated, "eval_loss"), Finite(evaluated, "eval_mean_token_accuracy"));
        return new()
        {
            Step = row.Step,
            TrainLoss = Last(Loss),
            TrainMeanTokenAccuracy = Last(Accuracy),
            ValidLoss = loss,
            ValidMeanTokenAccuracy = accuracy,
            FullValidLoss = loss,
            FullValidMeanTokenAccuracy = accuracy,
        };

        double? Last(string name) => train.LastOrDefault(metric => metric.Name == name && metric.Step <= row.Step && double.IsFinite(metric.Value))?.Value;
    }

    private static double? Finite(Dictionary<string, double> metrics, string name) => metrics.TryGetValue(name, out var value) && double.IsFinite(value) ? value : null;
}
