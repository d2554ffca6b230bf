using System.Data.Common;
using System.Text.Json;
using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Preparations;

/// <summary>The whole life of one report or cleaning: files, child process, result. It ends failed with the reason, or with everything that it has made.</summary>
public sealed class Prepare(
    PreparationClaims claims, IDbContextFactory<FineTuneDb> databases, DatasetFiles datasets, TokenizerFolder tokenizers, StorageSettings storage, TrainerLocation trainer,
    IOptions<DatasetSettings> settings, TimeProvider clock, ILogger<Prepare> log)
{
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(1);

    /// <summary>Hosts that may die of one before it is given up.</summary>
    private const int MostAttempts = 5;

    /// <summary>Removes what a process left behind when it died.</summary>
    public static void Sweep(StorageSettings storage)
    {
        foreach (var folder in Directory.CreateDirectory(storage.PreparationsDirectory).EnumerateDirectories())
            if (TimeProvider.System.GetUtcNow() - folder.LastWriteTimeUtc > TimeSpan.FromDays(1))
                folder.Delete(recursive: true);
    }

    /// <exception cref="OperationCanceledException">When we are to stop; another begins anew.</exception>
    public async Task Run(Preparation ours, CancellationToken cancel)
    {
        if (ours.Attempt > MostAttempts)
        {
            await claims.Fail(ours, $"It was begun {MostAttempts} times, and never came to an end.", [], cancel);
            return;
        }
        var scratch = Path.Combine(storage.PreparationsDirectory, $"{ours.Id}-{ours.Attempt}");
        try
        {
            Directory.CreateDirectory(scratch);
            var (output, files) = (Path.Combine(scratch, "output"), await Files(ours, cancel));
            using var process = new DataProcess(trainer, await Arguments(ours, files, scratch, output, cancel), scratch);
            if (!await Watch(ours, process, cancel))
                log.LogInformation("Preparation {Preparation}: attempt {Attempt} is no longer wanted", ours.Id, ours.Attempt);
            else if (process is { ExitCode: TrainerExit.Faulted, Progress.Faults: { Count: > 0 } faults })
                await claims.Fail(ours, faults[0].Message, faults, CancellationToken.None);
            else if (process.ExitCode != TrainerExit.Succeeded)
            {
                log.LogError("Preparation {Preparation}: exit code {ExitCode}. {Errors}", ours.Id, process.ExitCode, process.Errors);
                await claims.Fail(ours, $"The process ended with exit code {process.ExitCode}.", [], CancellationToken.None);
            }
            else if (ours.Kind == PreparationKind.Report)
                await claims.Succeed(ours, await File.ReadAllTextAsync(output, cancel), [], CancellationToken.None);
            else
                await Publish(ours, files, new CleanedFolder(output), cancel);
        }
        catch (FaultException error)
        {
            await claims.Fail(ours, error.Faults[0].Message, error.Faults, CancellationToken.None);
        }
        catch (Exception error) when (error is ProblemException or QuotaException or ArtifactDamagedException or ArtifactsAwayException)
        {
            log.LogWarning("Preparation {Preparation} fails: {Error}", ours.Id, error.GetBaseException().Message);
            await claims.Fail(ours, error.Message, [], CancellationToken.None);
        }
        catch (Exception error) when (!cancel.IsCancellationRequested && error is not DbException && error.InnerException is not DbException) // One dataset is not to end the host.
        {
            log.LogError(error, "Preparation {Preparation} fails", ours.Id);
            await claims.Fail(ours, FullDisk.Is(error) ? "There is no room on the disk of this host." : "It failed for a reason that is in the log of its host.", [], CancellationToken.None);
        }
        finally
        {
            Delete(scratch);
        }
    }

    /// <summary>What stays is swept another day.</summary>
    private void Delete(string scratch)
    {
        try
        {
            if (Directory.Exists(scratch))
                Directory.Delete(scratch, recursive: true);
        }
        catch (IOException error)
        {
            log.LogWarning("{Folder} cannot be deleted: {Error}", scratch, error.Message);
        }
    }

    private async Task<bool> Watch(Preparation ours, DataProcess process, CancellationToken cancel)
    {
        using var heartbeat = new PeriodicTimer(Heartbeat, clock);
        var exited = process.Exited(cancel);
        while (!exited.IsCompleted)
        {
            await Task.WhenAny(exited, heartbeat.WaitForNextTickAsync(cancel).AsTask());
            cancel.ThrowIfCancellationRequested();
            if (!exited.IsCompleted && !await claims.Tell(ours, process.Progress, cancel))
                return false;
        }
        return true;
    }

    private async Task<IReadOnlyList<string>> Arguments(Preparation ours, IReadOnlyList<(DataSplit Split, Dataset Dataset)> files, string scratch, string output, CancellationToken cancel)
    {
        List<string> arguments = [ours.Kind == PreparationKind.Report ? "report" : "clean"];
        foreach (var (split, dataset) in files)
        {
            var folder = Directory.CreateDirectory(Path.Combine(scratch, split.ToString().ToLowerInvariant()));
            var file = File.CreateSymbolicLink(Path.Combine(folder.FullName, Path.GetFileName(dataset.FileName)), Path.GetFullPath(await datasets.Find(dataset, cancel))); // By the name that people know.
            arguments.AddRange(split == DataSplit.Train ? [file.FullName] : [$"--{split.ToString().ToLowerInvariant()}", file.FullName]);
        }
        var settings = Path.Combine(scratch, "settings.json");
        await File.WriteAllTextAsync(settings, JsonSerializer.Serialize(ours.Kind == PreparationKind.Report ? await OptionsOf(ours, cancel) : (object)Asked<CleaningRequest>(ours).Recipe, SnakeCaseJson.Options), cancel);
        return [.. arguments, ours.Kind == PreparationKind.Report ? "--options" : "--recipe", settings, "--output", output];
    }

    private async Task<DataReportOptions> OptionsOf(Preparation ours, CancellationToken cancel) => Asked<ReportRequest>(ours) is var asked && asked.BaseModel is null
        ? asked.Options
        : asked.Options with { Model = await tokenizers.Find(asked.BaseModel, asked.Revision, cancel) };

    /// <exception cref="FaultException">When one has been deleted meanwhile.</exception>
    private async Task<IReadOnlyList<(DataSplit Split, Dataset Dataset)>> Files(Preparation ours, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        db.Project = ours.ProjectId;
        List<(DataSplit, Dataset)> files = [];
        foreach (var (split, id) in new[] { (DataSplit.Train, ours.DatasetId), (DataSplit.Validation, ours.ValidationId), (DataSplit.Test, ours.TestId) })
            if (id is not null)
                files.Add((split, await db.Datasets.AsNoTracking().FirstOrDefaultAsync(dataset => dataset.Id == id, cancel)
                    ?? throw new FaultException($"/{split.ToString().ToLowerInvariant()}", id, "This dataset was deleted meanwhile.", "Choose one of GET /datasets.")));
        return files;
    }

    /// <summary>Makes datasets of the folder's files: all of them, or none.</summary>
    private async Task Publish(Preparation ours, IReadOnlyList<(DataSplit Split, Dataset Dataset)> sources, CleanedFolder folder, CancellationToken cancel)
    {
        var result = JsonSerializer.Deserialize<CleaningResult>(await File.ReadAllTextAsync(folder.Result, cancel), SnakeCaseJson.Options)!;
        await CheckRoom(ours, result, cancel);
        var asked = Asked<CleaningRequest>(ours);
        var made = new Dictionary<DataSplit, Dataset>();
        var kept = false;
        try
        {
            foreach (var file in result.Files.OrderBy(file => file.Split))
            {
                var source = sources.FirstOrDefault(source => source.Split == file.Split, sources[0]).Dataset;
                var name = asked.Name ?? $"{sources[0].Dataset.Name} cleaned";
                await using var draft = new DatasetDraft(storage, datasets);
                await using (var to = draft.Create(file.Name))
                await using (var from = File.OpenRead(Path.Combine(folder.Path, file.Name)))
                {
                    await from.CopyToAsync(to, cancel);
                    to.Flush(flushToDisk: true);
                }
                made[file.Split] = await draft.Publish(
                    ours.ProjectId, $"{Path.GetFileNameWithoutExtension(source.FileName)}.{file.Split.ToString().ToLowerInvariant()}{Path.GetExtension(file.Name)}",
                    file.Split == DataSplit.Train ? name : $"{name} {file.Split.ToString().ToLowerInvariant()}", file.Sha256, clock.GetMicrosecondsNow(), cancel,
                    JsonSerializer.Serialize(new DatasetOrigin(source.Id, ours.Id, file.Split, result.Recipe, result.Sha256), SnakeCaseJson.Options));
            }
            await datasets.PublishLedger(made[DataSplit.Train], folder.Ledger, cancel);
            kept = await claims.Succeed(ours, JsonSerializer.Serialize(new CleanedDatasets(Id(DataSplit.Train)!, Id(DataSplit.Validation), Id(DataSplit.Test), result), SnakeCaseJson.Options), [.. made.Values], CancellationToken.None);
        }
        finally
        {
            if (!kept)
                foreach (var dataset in made.Values)
                    await datasets.Delete(dataset, CancellationToken.None);
        }

        string? Id(DataSplit split) => made.GetValueOrDefault(split)?.Id;
    }

    private async Task CheckRoom(Preparation ours, CleaningResult result, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        db.Project = ours.ProjectId;
        await db.CheckRoom(result.Files.Sum(file => file.Bytes), settings.Value.MaxBytes, cancel);
    }

    private static T Asked<T>(Preparation ours) => JsonSerializer.Deserialize<T>(ours.Request, SnakeCaseJson.Options)!;
}
