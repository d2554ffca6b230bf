using System.Text.Json;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>A job's checkpoints as its run's log tells of them, under the job row's lock; the caller saves.</summary>
internal sealed class CheckpointRows(FineTuneDb db, Job job)
{
    public async Task Apply(TrainingEvent happened, CancellationToken cancel)
    {
        switch (happened)
        {
            case RunStarted started:
                await Rewind(started, cancel);
                break;
            case CheckpointSaved saved:
                await Save(saved, cancel);
                break;
            case CheckpointDeleted deleted:
                Delete(await Find(deleted.Step, cancel), deleted.Time);
                break;
        }
    }

    private async Task Rewind(RunStarted started, CancellationToken cancel)
    {
        await db.SaveChangesAsync(cancel);
        foreach (var checkpoint in await db.Checkpoints.Where(row => row.JobId == job.Id && row.Step > started.LastValidStep && row.DeletedAt == null).ToListAsync(cancel))
            Delete(checkpoint, started.Time);
        if (job.BestStep > started.LastValidStep)
            (job.BestStep, job.BestMetric) = (null, null);
    }

    private async Task Save(CheckpointSaved saved, CancellationToken cancel)
    {
        if (saved.Best)
        {
            await db.SaveChangesAsync(cancel);
            await db.Checkpoints.Where(row => row.JobId == job.Id && row.Best).ForEachAsync(row => row.Best = false, cancel);
            (job.BestStep, job.BestMetricName) = (saved.Step, BestMetricName());
            job.BestMetric = job.BestMetricName is { } name && saved.Metrics.TryGetValue(name, out var value) ? value : null;
        }
        if (await Find(saved.Step, cancel) is not { } row)
            db.Checkpoints.Add(row = new() { JobId = job.Id, Step = saved.Step, Epoch = saved.Epoch, Path = "", Bytes = 0, Best = false, Final = false, Metrics = "{}", CreatedAt = saved.Time });
        (row.Path, row.Bytes, row.Best, row.Final, row.CreatedAt, row.DeletedAt) = (saved.Path, saved.Bytes, saved.Best, saved.Final, saved.Time, null);
        row.Metrics = JsonSerializer.Serialize(saved.Metrics, SnakeCaseJson.Options);
    }

    private async Task<Checkpoint?> Find(int step, CancellationToken cancel) => await db.Checkpoints.FindAsync([job.Id, step], cancel);

    private static void Delete(Checkpoint? checkpoint, DateTimeOffset time)
    {
        if (checkpoint is not null)
            (checkpoint.DeletedAt, checkpoint.Best, checkpoint.Final) = (time, false, false);
    }

    private string? BestMetricName()
    {
        using var spec = JsonDocument.Parse(job.Spec);
        return spec.RootElement.TryGetProperty("training", out var training) && training.TryGetProperty("metric_for_best_model", out var metric) && metric.GetString() is { } name
            ? EvaluationMetric.Named(name)
            : null;
    }
}
