using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using FineTuneService.Training.Data;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

/// <summary>How long a job would take, judged by the last one like it: as many seconds for each row of each epoch.</summary>
/// <param name="Seconds">From its start to its end, evaluations included.</param>
/// <param name="Steps">Optimizer steps.</param>
/// <param name="Job">The one it is judged by: of the same base model, task and method, on the same dataset if there is one.</param>
/// <param name="SameDataset">Whether it is: then its rows are as long.</param>
public sealed record TimeEstimate(double Seconds, int Steps, string Job, bool SameDataset)
{
    private sealed record Earlier(string Id, double RunSeconds, double Epochs, long Rows, bool SameDataset);

    /// <returns>Null when no job like it has succeeded yet.</returns>
    /// <param name="spec">Resolved.</param>
    /// <param name="rows">Of its training dataset.</param>
    public static async Task<TimeEstimate?> Of(FineTuneDb db, JobSpec spec, long rows, CancellationToken cancel)
    {
        var held = spec.Dataset.Validation is null ? spec.Dataset.ValidationSplit : 0;
        var learnt = (long)(rows * (1 - held));
        var perEpoch = spec.Dataset.Replay is { } replay ? learnt + ReplayMix.DrawnBeside(learnt, replay.Fraction) : learnt;
        var plan = new StepPlan(spec.Training, (int)Math.Min(perEpoch, int.MaxValue));
        var json = JsonSerializer.SerializeToNode(spec, Catalog.Json)!;
        string? TypeOf(string part) => (string?)json[part]?["type"];
        var earlier = await db.Database.SqlQuery<Earlier>($"""
            SELECT job.id, job.run_seconds, job.epoch AS epochs, dataset.rows, dataset.id = {spec.Dataset.Train} AS same_dataset
            FROM finetune.jobs AS job JOIN finetune.datasets AS dataset ON dataset.id = job.spec->'dataset'->>'train'
            WHERE job.project_id = {db.Project} AND job.status = 'Succeeded' AND job.epoch > 0 AND dataset.rows > 0
                AND job.spec->>'base_model' = {spec.BaseModel} AND job.spec->'task'->>'type' = {TypeOf("task")} AND job.spec->'method'->>'type' = {TypeOf("method")}
            ORDER BY same_dataset DESC, job.id DESC LIMIT 1
            """).ToListAsync(cancel);
        return earlier is [var last] ? new(last.RunSeconds / (last.Rows * last.Epochs) * (rows + perEpoch - learnt) * plan.TotalSteps / plan.StepsPerEpoch, plan.TotalSteps, last.Id, last.SameDataset) : null;
    }
}
