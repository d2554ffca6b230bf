using FineTuneService.Contracts;

namespace FineTuneService.Storage;

/// <summary>A trial, and what its job has come to.</summary>
/// <param name="Status">The job's; null while the trial has none.</param>
/// <param name="Metric">The job's best evaluation so far, at <paramref name="Step"/>, where its best checkpoint is.</param>
public sealed record SweepStanding(string SweepId, int Rung, int Number, string Parameters, string? JobId, JobStatus? Status, double? Metric, int? Step)
{
    public bool IsWaiting => JobId is null;

    /// <summary>In the queue, or running.</summary>
    public bool IsOpen => Status is { } status && !status.IsTerminal();

    private bool HasRank => Status == JobStatus.Succeeded && Metric is { } metric && double.IsFinite(metric);

    /// <summary>The trials of these sweeps, by rung and number.</summary>
    public static IQueryable<SweepStanding> Of(FineTuneDb db, params string[] sweepIds) =>
        from trial in db.SweepTrials
        where sweepIds.Contains(trial.SweepId)
        join job in db.Jobs on trial.JobId equals job.Id into jobs
        from job in jobs.DefaultIfEmpty()
        orderby trial.Rung, trial.Number
        select new SweepStanding(trial.SweepId, trial.Rung, trial.Number, trial.Parameters, trial.JobId, (JobStatus?)job.Status, job.BestMetric, job.BestStep);

    /// <summary>Those whose jobs have succeeded with a metric, the best first; of equals the one that was trained longest, then the earliest.</summary>
    public static IEnumerable<SweepStanding> Ranked(IEnumerable<SweepStanding> standings, bool greaterIsBetter) =>
        standings.Where(standing => standing.HasRank).OrderBy(standing => greaterIsBetter ? -standing.Metric : standing.Metric).ThenByDescending(standing => standing.Rung).ThenBy(standing => standing.Number);
}
