using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Datasets;

public static class DeleteDataset
{
    /// <summary>Deletes a dataset that no job names, and no trial of a running sweep.</summary>
    /// <param name="id">The dataset's id.</param>
    public static async Task<NoContent> Handle(string id, FineTuneDb db, DatasetFiles datasets, CancellationToken cancel) =>
        await TryDelete(id, db, datasets, cancel) is { } refusal ? throw refusal : TypedResults.NoContent();

    /// <returns>Why not; null when it is deleted.</returns>
    internal static async Task<ProblemException?> TryDelete(string id, FineTuneDb db, DatasetFiles datasets, CancellationToken cancel)
    {
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        // The row is locked first: a job that is being created takes a share lock on its datasets.
        if (await db.Datasets.FromSql($"SELECT * FROM finetune.datasets WHERE id = {id} FOR UPDATE").ToListAsync(cancel) is not [var dataset])
            return ProblemException.NotFound("dataset", id);
        var user = await db.Jobs
            .FromSqlRaw("SELECT * FROM finetune.jobs WHERE jsonb_exists(" + NamedDatasets.Sql + ", {0})", id)
            .OrderBy(job => job.Id).Select(job => job.Id).FirstOrDefaultAsync(cancel);
        if (user is not null)
            return ProblemException.Conflict($"The job '{user}' uses this dataset.");
        var waiting = await db.SweepTrials
            .FromSqlRaw("SELECT * FROM finetune.sweep_trials WHERE job_id IS NULL AND jsonb_exists(" + NamedDatasets.Sql + ", {0})", id)
            .Where(trial => db.Sweeps.Any(sweep => sweep.Id == trial.SweepId && sweep.Status == SweepStatus.Running))
            .Select(trial => trial.SweepId).FirstOrDefaultAsync(cancel);
        if (waiting is not null)
            return ProblemException.Conflict($"The sweep '{waiting}' will use this dataset.");
        db.Datasets.Remove(dataset);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        await datasets.Delete(dataset, cancel);
        return null;
    }
}
