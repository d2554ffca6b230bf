using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker;

/// <summary>What a run needs from the artifact store before it trains here, and what it leaves there. Where all machines share a disk there is nothing to do.</summary>
internal sealed partial class RunJob
{
    private const string StoreIsAway = "The artifact store cannot be reached.", LostArtifacts = "artifacts";

    private static readonly TimeSpan StorePatience = TimeSpan.FromMinutes(1), StorePause = TimeSpan.FromSeconds(1);

    /// <summary>Brings datasets here, and the run itself, if another machine was the last to train it.</summary>
    /// <returns>Null when this attempt has ended, which is recorded then.</returns>
    private async Task<RunFolder?> FetchFiles(Job job)
    {
        var folder = storage.Run(job.Id);
        if (artifacts.IsDisk)
            return folder;
        try
        {
            return await Accompany(job, "the fetch of its files", stop => Patiently(async () =>
            {
                await using var db = await databases.CreateDbContextAsync(stop);
                foreach (var id in NamedDatasets.In(JsonNode.Parse(job.Spec)!["dataset"]!.AsObject()).Select(named => named.GetValue<string>()))
                    await datasets.Find(await db.Datasets.AsNoTracking().SingleAsync(row => row.Id == id, stop), stop);
                if (!await IsNewest(db, job, folder, stop))
                    await TakeOver(db, job, folder, stop);
                return folder;
            }, stop), () => Task.CompletedTask);
        }
        catch (FaultException error)
        {
            await Persist(() => End(job, JobStatus.Failed, error.Faults[0].Message, error.Faults));
        }
        catch (Exception error) when (!FullDisk.Is(error) && error is ArtifactsAwayException or ArtifactDamagedException or IOException or UnauthorizedAccessException)
        {
            log.LogWarning(error, "Job {JobId}: attempt {Attempt} could not bring its files here", job.Id, job.Attempt);
            await LoseAttempt(job, error is ArtifactsAwayException ? StoreIsAway : error is ArtifactDamagedException ? error.Message : "Its files could not be written here.", LostArtifacts);
        }
        return null;
    }

    /// <summary>Whether the folder here is what the database knows of the run: the last line that it has is in this log too. Each attempt writes on one machine only.</summary>
    private static async Task<bool> IsNewest(FineTuneDb db, Job job, RunFolder folder, CancellationToken cancel)
    {
        if (job.Attempt == 1)
            return true;
        if (job.LogSeq == 0)
            return Directory.Exists(folder.Path);
        var known = await db.Events.Where(row => row.JobId == job.Id && row.Seq == job.LogSeq).Select(row => row.Data).SingleOrDefaultAsync(cancel);
        return known is not null && RunLog.Until(folder, job.LogSeq).LastOrDefault() is { } last
            && (last.Seq, last.Attempt) == (job.LogSeq, JsonNode.Parse(known)!["attempt"]!.GetValue<int>());
    }

    /// <summary>Makes the run's folder anew from what is stored. Lines of the old log that never reached the database are void: no checkpoint is stored before the lines that lead to it.</summary>
    private async Task TakeOver(FineTuneDb db, Job job, RunFolder folder, CancellationToken cancel)
    {
        if (Directory.Exists(folder.Path))
            Directory.Delete(folder.Path, recursive: true);
        Directory.CreateDirectory(folder.Path);
        await files.Restore(job.Id, cancel);
        var newest = await FetchCheckpoints(db, job, folder, cancel);
        // If we die before: the next attempt finds no log here, and does the same. Between: it finds one that does not go back to what the database has.
        await projection.BeginLog(job.Id, job.Attempt, cancel);
        job.LogOffset = 0;
        RunLog.Begin(folder, new Noted
        {
            Seq = job.LogSeq + 1,
            Attempt = job.Attempt,
            Time = clock.GetUtcNow(),
            Step = newest?.Step ?? 0,
            Epoch = newest?.Epoch ?? 0,
            Level = "info",
            Code = "taken_over",
            Message = newest is null ? "Another machine takes the run over, from the start: no checkpoint is stored." : $"Another machine takes the run over, from checkpoint-{newest.Step}.",
        });
    }

    /// <summary>The newest that is whole, and the best; all, where old ones are to be deleted in their turn.</summary>
    private async Task<Checkpoint?> FetchCheckpoints(FineTuneDb db, Job job, RunFolder folder, CancellationToken cancel)
    {
        var deletesOld = JsonNode.Parse(job.Spec)!["training"]?["save_total_limit"] is not null;
        Checkpoint? newest = null;
        foreach (var row in await db.Checkpoints.AsNoTracking().Where(row => row.JobId == job.Id && row.DeletedAt == null).OrderByDescending(row => row.Step).ToListAsync(cancel))
            try
            {
                if ((newest is null || row.Best || deletesOld) && await checkpoints.Fetch(row, folder.Checkpoint(row.Step), cancel))
                    newest ??= row;
            }
            catch (ArtifactDamagedException error)
            {
                await Note(job, "warning", "checkpoint_damaged", $"checkpoint-{row.Step} is passed over: {error.Message}");
            }
        return newest;
    }

    /// <returns>Null when this attempt has ended.</returns>
    private async Task<string?> FetchCheckpoint(Job job, CheckpointName checkpoint, int step, string pointer) =>
        await Accompany(job, $"the fetch of {checkpoint}", stop => Patiently(async () =>
        {
            await using var db = await databases.CreateDbContextAsync(stop);
            var row = await db.Checkpoints.AsNoTracking().SingleOrDefaultAsync(row => row.JobId == checkpoint.JobId && row.Step == step && row.DeletedAt == null, stop);
            return row is not null && await checkpoints.Find(row, stop) is { } folder ? folder : throw Gone(checkpoint, pointer);
        }, stop), () => Task.CompletedTask);

    /// <returns>Null when this attempt has ended.</returns>
    private Task<string?> FetchBaseModel(Job job, string name) =>
        Accompany(job, $"the fetch of {name}", stop => Patiently(() => baseModels.Find(name, stop), stop), () => Task.CompletedTask);

    /// <summary>Tries again while the store is away, for a while.</summary>
    private async Task<T> Patiently<T>(Func<Task<T>> work, CancellationToken cancel)
    {
        for (var began = clock.GetTimestamp(); ;)
        {
            try
            {
                return await work();
            }
            catch (ArtifactsAwayException) when (clock.GetElapsedTime(began) < StorePatience)
            {
                await Task.Delay(StorePause, clock, cancel);
            }
        }
    }

    private CheckpointUploads BeginUploads(Job job, RunFolder folder)
    {
        var uploads = new CheckpointUploads(job, checkpoints, files, projection, clock, log);
        uploads.Add(CheckpointUploads.Standing(RunLog.Until(folder, job.LogSeq)));
        return uploads;
    }

    /// <summary>Waits until all that the run has left is stored. Whoever wants it to end meanwhile has to wait as long as for a trainer that is asked to stop.</summary>
    private async Task<Ending> Drain(Job job, CheckpointUploads uploads, Task<bool> uploading, Ending ending, CancellationTokenSource leave)
    {
        uploads.Complete();
        var asked = ending == Ending.Exited ? 0 : clock.GetTimestamp(); // 0: not yet.
        while (!uploading.IsCompleted)
        {
            var order = ending == Ending.Lost ? ending : IsShuttingDown ? Ending.ShuttingDown : await Listen(job);
            if (order != Ending.Exited && asked == 0)
                asked = clock.GetTimestamp();
            if (order == Ending.Lost || (asked != 0 && clock.GetElapsedTime(asked) > _settings.StopPatience))
            {
                await leave.CancelAsync();
                await uploading.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                return order == Ending.Exited ? ending : order;
            }
            await Task.WhenAny(uploading, Task.Delay(_settings.Heartbeat, clock, CancellationToken.None));
        }
        return await uploading ? ending : Ending.Lost;
    }

    private async Task TrySaveFiles(Job job)
    {
        try
        {
            await files.Save(job.Id, CancellationToken.None);
        }
        catch (ArtifactsAwayException error)
        {
            log.LogWarning("Job {JobId}: what it has learnt about itself is on this machine only: {Error}", job.Id, error.Message);
        }
    }
}
