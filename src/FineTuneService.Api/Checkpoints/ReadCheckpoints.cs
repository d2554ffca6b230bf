using System.Text.Json;
using FineTuneService.Api.Jobs;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Checkpoints;

/// <summary>A complete Hugging Face folder, with what is needed to resume.</summary>
/// <param name="Step">Optimizer steps done when it was written; its name in addresses.</param>
/// <param name="Best">The best one by <c>metric_for_best_model</c>.</param>
/// <param name="Final">The state after the last step.</param>
/// <param name="Path">Folder within the run's folder.</param>
/// <param name="Metrics">The evaluation at this step.</param>
public sealed record CheckpointView(
    int Step, double Epoch, bool Best, bool Final, string Path, long Bytes, IReadOnlyDictionary<string, double> Metrics, DateTimeOffset CreatedAt);

public sealed record CheckpointList(IReadOnlyList<CheckpointView> Data);

public sealed record CheckpointFileList(IReadOnlyList<CheckpointFile> Data);

public static class ReadCheckpoints
{
    /// <summary>Lists a job's checkpoints that can be downloaded, by step.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<Ok<CheckpointList>> List(string id, FineTuneDb db, CancellationToken cancel)
    {
        await db.FindJob(id, cancel);
        var rows = await db.Checkpoints.AsNoTracking().Where(row => row.JobId == id && row.DeletedAt == null).OrderBy(row => row.Step).ToListAsync(cancel);
        return TypedResults.Ok(new CheckpointList([.. rows.Select(From)]));
    }

    /// <summary>Lists the files of a checkpoint.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="which">A step, <c>best</c> or <c>final</c>.</param>
    public static async Task<Ok<CheckpointFileList>> Files(string id, string which, FineTuneDb db, CheckpointFiles files, CancellationToken cancel)
    {
        var folder = await CheckpointFolder.Find(db, files, id, which, cancel);
        return TypedResults.Ok(new CheckpointFileList([.. folder.Files.Select(file => new CheckpointFile(folder.NameOf(file), file.Length))]));
    }

    private static CheckpointView From(Checkpoint row) => new(
        row.Step, row.Epoch, row.Best, row.Final, row.Path, row.Bytes, JsonSerializer.Deserialize<Dictionary<string, double>>(row.Metrics)!, row.CreatedAt);
}
