using System.Globalization;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Npgsql;

namespace FineTuneService.Worker;

/// <summary>The whole life of one run: claim, prepare, train, judge, record.</summary>
internal sealed partial class RunJob(
    JobStates states,
    JobClaims claims,
    JobQueue queue,
    RunProjection projection,
    IDbContextFactory<FineTuneDb> databases,
    StorageSettings storage,
    TrainerLocation trainer,
    ModelHub hub,
    MergedCheckpoints merges,
    ArtifactStore artifacts,
    DatasetFiles datasets,
    CheckpointFiles checkpoints,
    BaseModelFiles baseModels,
    RunFiles files,
    WorkerMetrics metrics,
    IOptions<WorkerSettings> options,
    WorkerSilence silence,
    IHostApplicationLifetime host,
    TimeProvider clock,
    ILogger<RunJob> log) : RunJobCall
{
    /// <summary>Tells this process from all others, of whatever machine.</summary>
    public static string WorkerName { get; } = $"{Environment.MachineName}:{Environment.ProcessId}";

    private readonly WorkerSettings _settings = options.Value;

    /// <summary>Not Hangfire's token: that one also fires when its database is away, and who owns the job is told by our own heartbeat.</summary>
    private bool IsShuttingDown => host.ApplicationStopping.IsCancellationRequested;

    /// <param name="cancel">Hangfire's: this worker shuts down, or the ticket was taken away.</param>
    public override async Task Execute(string queueName, CancellationToken cancel)
    {
        // If we die before this: nothing has happened, and the ticket goes to another worker when its lease has run out.
        if (IsShuttingDown || await claims.Next(queueName, WorkerName, silence.Longest, cancel) is not { } job)
            return;
        using var telemetry = new RunTelemetry(job, metrics, clock);
        using var lines = log.BeginScope(new Dictionary<string, object> { ["JobId"] = job.Id, ["Attempt"] = job.Attempt }); // Of whoever logs while this runs.
        log.LogInformation("Job {JobId}: attempt {Attempt} begins", job.Id, job.Attempt);
        try
        {
            await Train(job, telemetry, cancel);
        }
        catch (Exception error) when (FullDisk.Is(error))
        {
            log.LogWarning("Job {JobId}: attempt {Attempt} finds no room on the disk: {Error}", job.Id, job.Attempt, error.GetBaseException().Message);
            await Persist(() => End(job, JobStatus.Retrying, DiskIsFull, lost: LostToDisk));
        }
    }

    /// <exception cref="IOException">When there is no room for what a run needs before it begins: see <see cref="FullDisk"/>.</exception>
    private async Task Train(Job job, RunTelemetry telemetry, CancellationToken cancel)
    {
        if (await FetchFiles(job) is null || await PlaceModels(job) is not { } places)
            return;
        var folder = await Prepare(job, places, cancel);
        // If we die from here on: the trainer dies with us, another worker claims the job after our heartbeat's lease,
        // and its trainer goes on from the last checkpoint. What we have not yet brought into the database, its pump will.
        using var process = new TrainerProcess(trainer, folder, job.Attempt, _settings.MemoryLimit, _settings.DatasetCache ?? storage.TokenizedDirectory, _settings.DatasetCacheBytes);
        await Persist(() => states.Change(job.Id, job.Attempt, JobStatus.Running, null, null, CancellationToken.None));
        var uploads = artifacts.IsDisk ? null : BeginUploads(job, folder);
        var pump = new EventPump(folder, job, projection, uploads, telemetry, clock, log);
        var ending = await Supervise(job, process, pump, new StallWatch(folder, process, pump, _settings.StallPatience, clock), uploads);
        var leavesMark = ending == Ending.Exited && MarkWantOfMemory(process, folder);
        if (leavesMark)
            await TrySaveFiles(job);
        // If we die here: the log is complete and the state is not; the next attempt resumes at the last step and ends at once.
        await Persist(() => Record(job, process, uploads is { IsBehind: true } ? null : pump.Ending, ending, leavesMark));
    }

    /// <summary>Tells the next trainer to need less, see <see cref="RunFolder.OutOfMemory"/>.</summary>
    /// <returns>False when the trainer died of something else; or before it had heard what it is told now, so that telling it again is of no use.</returns>
    private static bool MarkWantOfMemory(TrainerProcess process, RunFolder folder)
    {
        if (process.WantOfMemory is not { } cause || File.Exists(folder.OutOfMemory))
            return false;
        File.WriteAllText(folder.OutOfMemory, cause);
        return true;
    }

    private enum Ending { Exited, CancelRequested, PauseRequested, OutOfTime, ShuttingDown, Lost }

    /// <summary>The run's folder and its job.json, where ids have become paths.</summary>
    private async Task<RunFolder> Prepare(Job job, Places places, CancellationToken cancel)
    {
        var folder = storage.Run(job.Id);
        Directory.CreateDirectory(folder.Path);
        await File.WriteAllTextAsync(folder.Owner, job.Attempt.ToString(CultureInfo.InvariantCulture), cancel);
        var spec = JsonNode.Parse(job.Spec)!.AsObject();
        spec["base_model"] = places.BaseModel;
        if (places.Adapter is not null)
            spec["method"]!["adapter"] = places.Adapter;
        await using var db = await databases.CreateDbContextAsync(cancel);
        foreach (var named in NamedDatasets.In(spec["dataset"]!.AsObject()))
        {
            var id = named.GetValue<string>();
            named.ReplaceWith(await datasets.Find(await db.Datasets.AsNoTracking().SingleAsync(row => row.Id == id, cancel), cancel));
        }
        await File.WriteAllTextAsync(folder.Job + ".draft", spec.ToJsonString(SnakeCaseJson.Indented), cancel);
        File.Move(folder.Job + ".draft", folder.Job, overwrite: true);
        return folder;
    }

    /// <summary>Pumps the log, tells that we are alive, and passes on what is asked of the run, until the trainer has ended.</summary>
    private async Task<Ending> Supervise(Job job, TrainerProcess process, EventPump pump, StallWatch stalls, CheckpointUploads? uploads)
    {
        using var leave = new CancellationTokenSource();
        var uploading = uploads?.Run(leave.Token) ?? Task.FromResult(true);
        var exited = process.Exited(CancellationToken.None);
        var pumping = pump.Run(exited, CancellationToken.None);
        var ending = Ending.Exited;
        using var heartbeat = new PeriodicTimer(_settings.Heartbeat, clock);
        while (!exited.IsCompleted && ending == Ending.Exited)
        {
            ending = IsShuttingDown ? Ending.ShuttingDown : await Listen(job);
            if (stalls.Look() is { } news)
                await Note(job, news.Level, StallWatch.Code, news.Message);
            var tick = heartbeat.WaitForNextTickAsync(CancellationToken.None).AsTask();
            if (ending == Ending.Exited)
                await Task.WhenAny(exited, tick, pumping);
            if (pumping is { IsCompletedSuccessfully: true } && !await pumping)
                ending = Ending.Lost;
        }
        if (ending == Ending.Lost)
            process.Kill();
        else if (ending != Ending.Exited)
            await process.Stop(_settings.StopPatience, clock);
        ending = await pumping ? ending : Ending.Lost;
        if (uploads is not null)
            ending = await Drain(job, uploads, uploading, ending, leave);
        return ending;
    }

    private async Task<Ending> Listen(Job job)
    {
        try
        {
            return await states.Heartbeat(job.Id, job.Attempt, CancellationToken.None) switch
            {
                RunOrder.GoOn => Ending.Exited,
                RunOrder.Cancel => Ending.CancelRequested,
                RunOrder.Pause => Ending.PauseRequested,
                RunOrder.OutOfTime => Ending.OutOfTime,
                _ => Ending.Lost,
            };
        }
        catch (Exception error) when (IsDatabaseAway(error))
        {
            // Nobody else can have taken the job either. The training goes on.
            log.LogWarning("Job {JobId}: the database does not answer: {Error}", job.Id, error.GetBaseException().Message);
            return Ending.Exited;
        }
    }

    /// <param name="needsLess">Whether the next attempt will need less memory: then it is worth another, however many there were; the trainer knows when it can do with no less.</param>
    private async Task<bool> Record(Job job, TrainerProcess process, TrainingEvent? said, Ending ending, bool needsLess)
    {
        var (status, reason, faults) = (ending, process.ExitCode, said) switch
        {
            (Ending.Lost, _, _) => (JobStatus.Running, "", null),
            (_, TrainerExit.Succeeded, RunSucceeded) => (JobStatus.Succeeded, null, null),
            (_, TrainerExit.Faulted, RunFailed failed) => (JobStatus.Failed, failed.Reason, failed.Faults),
            (Ending.CancelRequested, _, _) => (JobStatus.Cancelled, "Cancelled on request.", null),
            (Ending.PauseRequested, _, _) => (JobStatus.Paused, "Paused on request.", null),
            (Ending.OutOfTime, _, _) => (JobStatus.Failed, OutOfTime, null),
            (Ending.ShuttingDown, _, _) => (JobStatus.Retrying, "The worker was shut down; another continues.", null),
            (_, TrainerExit.DiskFull, _) => (JobStatus.Retrying, DiskIsFull, null),
            _ when needsLess || Lost(job) < _settings.MaxAttempts => (JobStatus.Retrying, Describe(process, said), null),
            _ => (JobStatus.Failed, Describe(process, said) + $" That was attempt {Lost(job)} of {_settings.MaxAttempts}.", (IReadOnlyList<Fault>?)null),
        };
        if (ending == Ending.Lost)
        {
            log.LogWarning("Job {JobId}: attempt {Attempt} has lost the job to another", job.Id, job.Attempt);
            metrics.AttemptLost("taken_by_another");
            return true;
        }
        log.LogInformation("Job {JobId}: attempt {Attempt} ends {Status}, exit code {ExitCode}. {Errors}", job.Id, job.Attempt, status, process.ExitCode, status == JobStatus.Succeeded ? "" : process.Errors);
        var isLost = ending == Ending.Exited && (process.ExitCode, said) is not ((TrainerExit.Succeeded, RunSucceeded) or (TrainerExit.Faulted, RunFailed));
        return await End(job, status, reason, faults, !isLost ? null : process.ExitCode == TrainerExit.DiskFull ? LostToDisk : process.WantOfMemory is null ? "trainer_died" : "out_of_memory");
    }

    /// <summary>The end of this attempt.</summary>
    /// <param name="lost">Why it is a lost one, for the metrics; null: it is not.</param>
    private async Task<bool> End(Job job, JobStatus status, string? reason, IReadOnlyList<Fault>? faults = null, string? lost = null)
    {
        var delay = lost == LostToDisk ? _settings.FullDiskDelay : _settings.RetryDelay;
        if (status == JobStatus.Retrying)
            queue.AddTicket(job.Requires, delay); // Before the state: a surplus ticket finds nothing, a missing one would strand the job.
        if (!await states.Change(job.Id, job.Attempt, status, reason, faults, CancellationToken.None, delay, isForgiven: lost == LostToDisk))
            return false;
        metrics.Ended(job, status);
        if (lost is not null)
            metrics.AttemptLost(lost);
        return true;
    }

    private const string OutOfTime = "Its deadline, or its longest running time, has passed. The last checkpoint is kept.";

    private const string LostToDisk = "disk_full", DiskIsFull = "The worker's disk is full. The run goes on from its last checkpoint as soon as there is room; it is tried again and again.";

    private static int Lost(Job job) => job.Attempt - job.ForgivenAttempts;

    private static string Describe(TrainerProcess process, TrainingEvent? said) =>
        said is RunFailed failed ? failed.Reason : process.WantOfMemory is { } cause ? cause + "." : process.ExitCode > 128 ? $"The trainer was killed by signal {process.ExitCode - 128}." : $"The trainer ended with exit code {process.ExitCode}.";

    /// <summary>Repeats what must reach the database until it does.</summary>
    private async Task Persist(Func<Task<bool>> write)
    {
        while (true)
        {
            try
            {
                await write();
                return;
            }
            catch (Exception error) when (IsDatabaseAway(error))
            {
                log.LogWarning("The database does not answer: {Error}", error.GetBaseException().Message);
                await Task.Delay(_settings.Heartbeat, clock);
            }
        }
    }

    internal static bool IsDatabaseAway(Exception error) => error.GetBaseException() is NpgsqlException or System.Net.Sockets.SocketException or TimeoutException or IOException;
}
