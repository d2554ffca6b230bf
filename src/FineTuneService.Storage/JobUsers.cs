using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Who keeps a job and its checkpoints from being deleted.</summary>
public static class JobUsers
{
    /// <returns>The id of a job that has not ended, or of a running sweep whose jobs are still to come, which starts from this job or waits for it; null when there is none.</returns>
    public static async Task<string?> Of(FineTuneDb db, string jobId, CancellationToken cancel)
    {
        var name = new CheckpointName(jobId, null).ToString();
        var job = await db.Jobs
            .FromSql($"SELECT * FROM finetune.jobs WHERE {jobId} = ANY (depends_on) OR split_part(spec->>'base_model', '@', 1) = {name} OR split_part(spec->'method'->>'adapter', '@', 1) = {name}")
            .Where(user => !JobTransitions.Ended.Contains(user.Status))
            .OrderBy(user => user.Id).Select(user => user.Id).FirstOrDefaultAsync(cancel);
        return job ?? await db.SweepTrials
            .FromSql($"SELECT * FROM finetune.sweep_trials WHERE job_id IS NULL AND (split_part(spec->>'base_model', '@', 1) = {name} OR split_part(spec->'method'->>'adapter', '@', 1) = {name})")
            .Where(trial => db.Sweeps.Any(sweep => sweep.Id == trial.SweepId && sweep.Status == SweepStatus.Running))
            .Select(trial => trial.SweepId).FirstOrDefaultAsync(cancel);
    }
}
