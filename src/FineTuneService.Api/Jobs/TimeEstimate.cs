using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

/// <summary>How long a job would take, judged by the last one like it: as many seconds for each row of each epoch.</summary>
/// <param name="Seconds">From its start to its end, evaluations included.</param>
/// <param name="Steps">Optimizer steps.</param>
/// <param name="Job">The one it is judged by: of the same base model, task and method, on the same dataset if there is one.</param>
/// <param name="SameDataset">Whether it is: then its rows are as long.</param>
public sealed record TimeEstimate(double Seconds, int Steps, string Job, bool SameDataset)
{
    private sealed record Earlier(string Id, double RunSeconds, double Epochs, long Rows, bool SameDataset, bool AsksBase);

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
            SELECT job.id, job.run_seconds, job.epoch AS epochs, dataset.rows, dataset.id = {spec.Dataset.Train} AS same_dataset,
                coalesce((job.spec->'training'->>'kl_to_base_weight')::float8, 0) > 0 AS asks_base
            FROM finetune.jobs AS job JOIN finetune.datasets AS dataset ON dataset.id = job.spec->'dataset'->>'train'
            WHERE job.project_id = {db.Project} AND job.status = 'Succeeded' AND job.epoch > 0 AND dataset.rows > 0
                AND job.spec->>'base_model' = {spec.BaseModel} AND job.spec->'task'->>'type' = {TypeOf("task")} AND job.spec->'method'->>'type' = {TypeOf("method")}
            ORDER BY same_dataset DESC, job.id DESC LIMIT 1
            """).ToListAsync(cancel);
        if (earlier is not [var last])
            return null;
        var secondsPerRow = last.RunSeconds / (last.Rows * last.Epochs) * Passes(spec.Training.KlToBaseWeight > 0) / Passes(last.AsksBase);
        return new(secondsPerRow * (rows + perEpoch - learnt) * plan.TotalSteps / plan.StepsPerEpoch, plan.TotalSteps, last.Id, last.SameDataset);

        // Forwards, and backwards, which compute as much for activations and, where they are trained, for weights; with kl_to_base_weight the base goes forward too.
        double Passes(bool asksBase) => (spec.Method is LoraConfig ? 2 : 3) + (asksBase ? 1 : 0);
    }
}
