using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;

namespace FineTuneService.Worker;

/// <summary>Where a job's base model lies: here already, or fetched from the hub first, while the job is heard and seen as when it trains.</summary>
internal sealed partial class RunJob
{
    private static readonly TimeSpan NoteInterval = TimeSpan.FromSeconds(10);

    /// <returns>The model's folder; null when this attempt has ended, which is recorded then.</returns>
    private async Task<string?> PlaceBaseModel(Job job)
    {
        try
        {
            var spec = JsonNode.Parse(job.Spec)!;
            var name = spec["base_model"]!.GetValue<string>();
            return spec["revision"]?.GetValue<string>() is { } commit ? await FetchFromHub(job, HubModel.Parse(name, commit))
                : CheckpointName.Parse(name) is { } checkpoint ? FolderOf(checkpoint)
                : Path.Combine(storage.ModelsDirectory, name);
        }
        catch (FaultException error)
        {
            log.LogInformation("Job {JobId}: its base model cannot be had: {Faults}", job.Id, error.Message);
            await Persist(() => states.Change(job.Id, job.Attempt, JobStatus.Failed, "The base model cannot be had.", error.Faults, CancellationToken.None));
            return null;
        }
        catch (Exception error) when (error is HubUnreachableException or IOException or UnauthorizedAccessException)
        {
            log.LogWarning(error, "Job {JobId}: attempt {Attempt} could not fetch its base model", job.Id, job.Attempt);
            await LoseAttempt(job, error is HubUnreachableException ? $"The hub cannot be reached. {error.Message}" : "The base model could not be written to the cache.");
            return null;
        }
    }

    /// <exception cref="FaultException">When the checkpoint has gone since the job was posted.</exception>
    private string FolderOf(CheckpointName checkpoint)
    {
        var folder = storage.Run(checkpoint.JobId).Checkpoint(checkpoint.Step ?? throw new InvalidOperationException($"The stored name {checkpoint} has no step."));
        return Directory.Exists(folder)
            ? folder
            : throw new FaultException("/base_model", checkpoint.ToString(), "This checkpoint was there when the job was posted, and has been deleted since.", $"Choose one of GET /jobs/{checkpoint.JobId}/checkpoints and post the job again.");
    }

    private async Task<string?> FetchFromHub(Job job, HubModel model)
    {
        using var stop = new CancellationTokenSource();
        var progress = new DownloadProgress();
        var fetching = hub.Fetch(model, progress, stop.Token);
        var ending = await Accompany(job, model, fetching, progress);
        if (ending == Ending.Exited)
            return (await fetching).Path;
        await stop.CancelAsync();
        await fetching.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default); // What came so far stays for the next attempt.
        log.LogInformation("Job {JobId}: attempt {Attempt} leaves the download of {Model}: {Ending}", job.Id, job.Attempt, model.Id, ending);
        if (ending == Ending.CancelRequested)
            await Persist(() => states.Change(job.Id, job.Attempt, JobStatus.Cancelled, "Cancelled on request.", null, CancellationToken.None));
        else if (ending == Ending.ShuttingDown)
            await Retry(job, "The worker was shut down; another continues.");
        return null;
    }

    /// <summary>Tells that we are alive and how far it is, until the download has ended or something ends it.</summary>
    private async Task<Ending> Accompany(Job job, HubModel model, Task fetching, DownloadProgress progress)
    {
        var noted = 0L; // Clock's timestamp; 0: not yet.
        while (!fetching.IsCompleted)
        {
            var ending = IsShuttingDown ? Ending.ShuttingDown : await Listen(job);
            if (ending != Ending.Exited)
                return ending;
            if (progress.Total > progress.Done && (noted == 0 || clock.GetElapsedTime(noted) >= NoteInterval))
            {
                await Note(job, $"Fetching {model.Id} at {model.Revision[..7]} from the hub: {progress.Done >> 20} of {progress.Total >> 20} MB are here.");
                noted = clock.GetTimestamp();
            }
            await Task.WhenAny(fetching, Task.Delay(_settings.Heartbeat, clock, CancellationToken.None));
        }
        if (progress.Received > 0 && fetching.IsCompletedSuccessfully)
            await Note(job, $"{model.Id} at {model.Revision[..7]} is here whole; {progress.Received >> 20} MB came from the hub.");
        return Ending.Exited;
    }

    private async Task Note(Job job, string message)
    {
        log.LogInformation("Job {JobId}: {Message}", job.Id, message);
        try
        {
            await states.Note(job.Id, job.Attempt, "base_model", message, CancellationToken.None);
        }
        catch (Exception error) when (IsDatabaseAway(error))
        {
            // The next note will tell more.
        }
    }

    private Task LoseAttempt(Job job, string reason) => job.Attempt < _settings.MaxAttempts
        ? Retry(job, reason)
        : Persist(() => states.Change(job.Id, job.Attempt, JobStatus.Failed, $"{reason} That was attempt {job.Attempt} of {_settings.MaxAttempts}.", null, CancellationToken.None));

    private Task Retry(Job job, string reason) => Persist(() =>
    {
        queue.EnqueueAgain(job.Id, _settings.RetryDelay); // Before the state, as in Record.
        return states.Change(job.Id, job.Attempt, JobStatus.Retrying, reason, null, CancellationToken.None);
    });
}
