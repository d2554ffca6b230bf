using System.Threading.Channels;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Npgsql;

namespace FineTuneService.Worker;

/// <summary>
/// Brings a run's checkpoints into the artifact store, in the order of its log, and has each listed once it can be had from there. Neither the training nor the metrics wait for it:
/// the store may be away for as long as it likes. A checkpoint comes after all lines before it are in the database, so whoever goes on from it elsewhere misses none.
/// If we die here, the next attempt on this machine begins with what <see cref="Standing"/> finds; one on another goes on from the last that was listed.
/// </summary>
internal sealed class CheckpointUploads(Job job, CheckpointFiles checkpoints, RunFiles files, RunProjection projection, TimeProvider clock, ILogger log)
{
    private static readonly TimeSpan FirstWait = TimeSpan.FromMilliseconds(500), LongestWait = TimeSpan.FromSeconds(15);

    private readonly Channel<TrainingEvent> _queue = Channel.CreateUnbounded<TrainingEvent>();

    /// <summary>These are in the database.</summary>
    public void Add(IEnumerable<TrainingEvent> happened)
    {
        foreach (var about in happened.Where(happened => happened is RunStarted or CheckpointSaved or CheckpointDeleted))
            _queue.Writer.TryWrite(about);
    }

    /// <summary>Something is not stored yet.</summary>
    public bool IsBehind { get; private set; } = true;

    /// <summary>No more will come.</summary>
    public void Complete() => _queue.Writer.TryComplete();

    /// <summary>The checkpoints that a log leaves, in their order.</summary>
    public static IReadOnlyList<CheckpointSaved> Standing(IEnumerable<TrainingEvent> log)
    {
        var standing = new SortedDictionary<int, CheckpointSaved>();
        foreach (var happened in log)
            if (happened is CheckpointSaved saved)
                standing[saved.Step] = saved;
            else if (happened is CheckpointDeleted)
                standing.Remove(happened.Step);
            else if (happened is RunStarted started)
                foreach (var step in standing.Keys.Where(step => step > started.LastValidStep).ToList())
                    standing.Remove(step);
        return [.. standing.Values.OrderBy(saved => saved.Seq)];
    }

    /// <summary>Works until <see cref="Complete"/> and all is stored.</summary>
    /// <returns>False when the job is no longer this attempt's.</returns>
    public async Task<bool> Run(CancellationToken cancel)
    {
        await foreach (var happened in _queue.Reader.ReadAllAsync(cancel))
            if (!await Follow(happened, cancel))
                return false;
        IsBehind = false;
        return true;
    }

    private async Task<bool> Follow(TrainingEvent happened, CancellationToken cancel)
    {
        for (var wait = FirstWait; ; wait = wait * 2 < LongestWait ? wait * 2 : LongestWait)
        {
            try
            {
                if (happened is not CheckpointDeleted)
                    await files.Save(job.Id, cancel);
                if (happened is CheckpointSaved saved)
                    return !await checkpoints.Publish(job.Id, saved.Path, cancel) || await projection.ApplyCheckpoint(job.Id, job.Attempt, happened, cancel);
                // Not listed first, then not there.
                if (!await projection.ApplyCheckpoint(job.Id, job.Attempt, happened, cancel))
                    return false;
                if (happened is RunStarted started)
                    await checkpoints.DeleteBeyond(job.Id, started.LastValidStep, cancel);
                else if (happened is CheckpointDeleted deleted)
                    await checkpoints.Delete(job.Id, deleted.Path, cancel);
                return true;
            }
            catch (Exception error) when (error is ArtifactsAwayException or NpgsqlException or InvalidOperationException { InnerException: NpgsqlException } or TimeoutException)
            {
                log.LogWarning("Job {JobId}: its checkpoints wait at step {Step}: {Error}", job.Id, happened.Step, error is ArtifactsAwayException ? error.Message : error.GetBaseException().Message);
                await Task.Delay(wait, clock, cancel);
            }
        }
    }
}
