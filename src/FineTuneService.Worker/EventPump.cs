using FineTuneService.Contracts;
using FineTuneService.Storage;
using Npgsql;

namespace FineTuneService.Worker;

/// <summary>
/// Carries a run's log into the database while it grows. The log is the truth and stays where it is, so the database may be away for as long as it likes:
/// training goes on, and the pump catches up. If we die here, the next attempt's pump goes on where the database stands.
/// </summary>
/// <param name="uploads">Tells the database of checkpoints in place of us, when they are stored; null: they are.</param>
internal sealed class EventPump(RunFolder folder, Job job, RunProjection projection, CheckpointUploads? uploads, RunTelemetry telemetry, TimeProvider clock, ILogger log)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromSeconds(5);

    private long _offset = job.LogOffset;

    /// <summary>The last event that was read; null before the first.</summary>
    public TrainingEvent? Last { get; private set; }

    /// <summary>How the run ended, as its log tells; null while it does not.</summary>
    public TrainingEvent? Ending { get; private set; }

    /// <summary>Pumps until <paramref name="ended"/> and the log is drained.</summary>
    /// <returns>False when the job is no longer this attempt's.</returns>
    public async Task<bool> Run(Task ended, CancellationToken cancel)
    {
        while (true)
        {
            var wasEnded = ended.IsCompleted; // Before reading: what is written after it would be missed.
            var (lines, next) = RunLog.Read(folder, _offset);
            if (lines.Count > 0)
            {
                Last = lines[^1].Event;
                telemetry.Read(lines);
                if (!await Write(lines, next, cancel))
                    return false;
                telemetry.Written(lines);
                uploads?.Add(lines.Select(line => line.Event).Where(happened => happened.Seq > job.LogSeq));
                _offset = next;
                Ending = lines[^1].Event is RunSucceeded or RunFailed or RunStopped ? lines[^1].Event : null;
            }
            else if (wasEnded)
                return true;
            else
                await Task.Delay(Pause, clock, cancel);
        }
    }

    private async Task<bool> Write(List<LogLine> lines, long next, CancellationToken cancel)
    {
        for (var wait = Pause; ; wait = wait * 2 < LongestBackoff ? wait * 2 : LongestBackoff)
        {
            try
            {
                return await projection.Apply(job.Id, job.Attempt, lines, next, cancel, checkpointsFollow: uploads is not null);
            }
            catch (Exception error) when (error is NpgsqlException or InvalidOperationException { InnerException: NpgsqlException } or TimeoutException)
            {
                log.LogWarning("Job {JobId}: {Lines} log lines wait for the database: {Error}", job.Id, lines.Count, error.GetBaseException().Message);
                await Task.Delay(wait, clock, cancel);
            }
        }
    }
}
