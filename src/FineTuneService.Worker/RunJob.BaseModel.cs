using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;

namespace FineTuneService.Worker;

/// <summary>Where a job's base model lies: here already, or fetched from the hub or merged first, while the job is heard and seen as when it trains.</summary>
internal sealed partial class RunJob
{
    private const string BaseModel = "base_model";

    private static readonly TimeSpan NoteInterval = TimeSpan.FromSeconds(10);

    /// <summary>Where a trainer finds what its specification names.</summary>
    /// <param name="Adapter">To go on with; null: none.</param>
    private sealed record Places(string BaseModel, string? Adapter);

    /// <returns>Null when this attempt has ended, which is recorded then.</returns>
    private async Task<Places?> PlaceModels(Job job)
    {
        try
        {
            var spec = JsonNode.Parse(job.Spec)!;
            var given = spec["method"]?["adapter"]?.GetValue<string>();
            var adapter = given is null ? null
                : CheckpointName.Parse(given) is { } continued ? await FolderOf(job, continued, "/method/adapter")
                : Path.Combine(storage.ModelsDirectory, given);
            if (given is not null && adapter is null)
                return null;
            return await PlaceBaseModel(job, spec) is { } baseModel ? new(baseModel, adapter) : null;
        }
        catch (FaultException error)
        {
            log.LogInformation("Job {JobId}: its base model or adapter cannot be had: {Faults}", job.Id, error.Message);
            await Persist(() => End(job, JobStatus.Failed, "The base model cannot be had.", error.Faults));
            return null;
        }
        catch (Exception error) when (!FullDisk.Is(error) && error is HubUnreachableException or MergeLostException or ArtifactsAwayException or ArtifactDamagedException or IOException or UnauthorizedAccessException)
        {
            log.LogWarning(error, "Job {JobId}: attempt {Attempt} could not bring its base model here", job.Id, job.Attempt);
            await LoseAttempt(job, error switch
            {
                HubUnreachableException => $"The hub cannot be reached. {error.Message}",
                MergeLostException => "The merge of the base model's adapter broke off.",
                ArtifactsAwayException => StoreIsAway,
                ArtifactDamagedException => error.Message,
                _ => "The base model could not be written to the cache.",
            });
            return null;
        }
    }

    private async Task<string?> PlaceBaseModel(Job job, JsonNode spec)
    {
        var name = spec["base_model"]!.GetValue<string>();
        var isNew = spec["init"]?.GetValue<string>() == "config";
        if (spec["revision"]?.GetValue<string>() is { } commit)
            return await FetchFromHub(job, HubModel.Parse(name, commit), withWeights: !isNew);
        if (CheckpointName.Parse(name) is not { } checkpoint)
            return await FetchBaseModel(job, name);
        return await FolderOf(job, checkpoint, "/base_model") is not { } folder ? null
            : isNew || !MergedCheckpoints.IsAdapter(folder) ? folder
            : await Merge(job, checkpoint, folder);
    }

    /// <returns>Null when this attempt has ended.</returns>
    /// <exception cref="FaultException">When the checkpoint has gone since the job was posted.</exception>
    private async Task<string?> FolderOf(Job job, CheckpointName checkpoint, string pointer)
    {
        var step = checkpoint.Step ?? throw new InvalidOperationException($"The stored name {checkpoint} has no step.");
        if (!artifacts.IsDisk)
            return await FetchCheckpoint(job, checkpoint, step, pointer);
        var folder = storage.Run(checkpoint.JobId).Checkpoint(step);
        return Directory.Exists(folder) ? folder : throw Gone(checkpoint, pointer);
    }

    private static FaultException Gone(CheckpointName checkpoint, string pointer) => new(pointer, checkpoint.ToString(), "This checkpoint was there when the job was posted, and has been deleted since.", $"Choose one of GET /jobs/{checkpoint.JobId}/checkpoints and post the job again.");

    private async Task<string?> Merge(Job job, CheckpointName checkpoint, string adapter)
    {
        try
        {
            return await Accompany(job, $"the merge of {checkpoint}", stop => merges.WholeModel(checkpoints.Run(checkpoint.JobId), adapter, stop), () => Task.CompletedTask);
        }
        catch (FaultException error)
        {
            throw new FaultException([.. error.Faults.Select(fault => fault with { Pointer = "/base_model", Value = checkpoint.ToString() })]);
        }
    }

    private async Task<string?> FetchFromHub(Job job, HubModel model, bool withWeights)
    {
        var progress = new DownloadProgress();
        var noted = 0L; // Clock's timestamp; 0: not yet.
        var snapshot = await Accompany(job, $"the download of {model.Id}", stop => hub.Fetch(model, progress, stop, withWeights), async () =>
        {
            if (progress.Total <= progress.Done || (noted != 0 && clock.GetElapsedTime(noted) < NoteInterval))
                return;
            await Note(job, "info", BaseModel, $"Fetching {model.Id} at {model.Revision[..7]} from the hub: {progress.Done >> 20} of {progress.Total >> 20} MB are here.");
            noted = clock.GetTimestamp();
        });
        if (progress.Received > 0 && snapshot is not null)
            await Note(job, "info", BaseModel, $"{model.Id} at {model.Revision[..7]} is here whole; {progress.Received >> 20} MB came from the hub.");
        return snapshot?.Path;
    }

    /// <summary>Tells that we are alive until the work has ended, or something ends this attempt, which is recorded then.</summary>
    /// <param name="tell">Called from time to time.</param>
    /// <returns>Null when the attempt has ended.</returns>
    private async Task<T?> Accompany<T>(Job job, string what, Func<CancellationToken, Task<T>> work, Func<Task> tell) where T : class
    {
        using var stop = new CancellationTokenSource();
        var working = work(stop.Token);
        var ending = Ending.Exited;
        while (!working.IsCompleted)
        {
            ending = IsShuttingDown ? Ending.ShuttingDown : await Listen(job);
            if (ending != Ending.Exited)
                break;
            await tell();
            await Task.WhenAny(working, Task.Delay(_settings.Heartbeat, clock, CancellationToken.None));
        }
        if (ending == Ending.Exited)
            return await working;
        await stop.CancelAsync();
        await working.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default); // What was done so far stays for the next attempt.
        log.LogInformation("Job {JobId}: attempt {Attempt} leaves {What}: {Ending}", job.Id, job.Attempt, what, ending);
        if (ending == Ending.CancelRequested)
            await Persist(() => End(job, JobStatus.Cancelled, "Cancelled on request."));
        else if (ending == Ending.PauseRequested)
            await Persist(() => End(job, JobStatus.Paused, "Paused on request."));
        else if (ending == Ending.OutOfTime)
            await Persist(() => End(job, JobStatus.Failed, OutOfTime));
        else if (ending == Ending.ShuttingDown)
            await Persist(() => End(job, JobStatus.Retrying, "The worker was shut down; another continues."));
        return null;
    }

    private async Task Note(Job job, string level, string code, string message)
    {
        log.Log(level == "warning" ? LogLevel.Warning : LogLevel.Information, "Job {JobId}: {Message}", job.Id, message);
        try
        {
            await states.Note(job.Id, job.Attempt, level, code, message, CancellationToken.None);
        }
        catch (Exception error) when (IsDatabaseAway(error))
        {
            // The next note will tell more.
        }
    }

    private Task LoseAttempt(Job job, string reason, string lost = BaseModel) => Persist(() => Lost(job) < _settings.MaxAttempts
        ? End(job, JobStatus.Retrying, reason, lost: lost)
        : End(job, JobStatus.Failed, $"{reason} That was attempt {Lost(job)} of {_settings.MaxAttempts}.", lost: lost));
}
