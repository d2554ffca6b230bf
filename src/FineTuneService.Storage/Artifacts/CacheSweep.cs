using System.Data.Common;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace FineTuneService.Storage.Artifacts;

/// <summary>With a bucket this machine's files are a cache: what nobody has needed for long goes, unless a job that has not ended may need it.</summary>
internal sealed class CacheSweep(StorageSettings storage, IDbContextFactory<FineTuneDb> databases, TimeProvider clock, ILogger<CacheSweep> log) : PeriodicService(TimeSpan.FromMinutes(10), clock)
{
    private static readonly TimeSpan Unused = TimeSpan.FromDays(1);

    private readonly TimeProvider _clock = clock;

    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            await Apply(cancel);
        }
        catch (Exception error) when (error is IOException || error.GetBaseException() is DbException)
        {
            log.LogWarning("The cache could not be swept; it will be tried again: {Error}", error.GetBaseException().Message);
        }
    }

    internal async Task Apply(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var unended = await db.Jobs.AsNoTracking().Where(job => !JobTransitions.Ended.Contains(job.Status))
            .Select(job => new { job.Id, job.Spec }).ToListAsync(cancel);
        var needed = string.Join('\n', unended.Select(job => job.Id + job.Spec)); // Ids are too long to be found by chance.
        bool IsDue(FileSystemInfo found, string id) => _clock.GetUtcNow() - found.LastWriteTimeUtc > Unused && !needed.Contains(id, StringComparison.Ordinal);

        foreach (var dataset in Files(storage.DatasetsDirectory).Where(file => IsDue(file, file.Name.Split('.')[0])))
            dataset.Delete();
        foreach (var run in Folders(Path.Combine(storage.DataDirectory, "runs")).Where(run => IsDue(run, run.Name)))
            run.Delete(recursive: true);
        foreach (var run in Folders(storage.CacheDirectory))
            foreach (var model in Folders(new RunFolder(run.FullName).Checkpoints).Concat(Folders(new RunFolder(run.FullName).Merged)).Where(model => IsDue(model, run.Name)))
                model.Delete(recursive: true);
    }

    private static FileInfo[] Files(string folder) => Directory.Exists(folder) ? new DirectoryInfo(folder).GetFiles("ds_*") : [];

    private static DirectoryInfo[] Folders(string folder) => Directory.Exists(folder) ? new DirectoryInfo(folder).GetDirectories() : [];
}
