using System.Globalization;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage.Artifacts;

/// <summary>
/// Checkpoints' folders. On a shared disk they are the runs' own. With a bucket, a run's worker puts them there, the manifest last, so that half a checkpoint never counts;
/// whoever else needs one fetches it into the cache, under a name that has its time: a rewound run may write the same step again.
/// </summary>
public sealed class CheckpointFiles(StorageSettings storage, ArtifactStore artifacts, MergedCheckpoints merges, BaseModelFiles baseModels, IDbContextFactory<FineTuneDb> databases)
{
    private const string Manifest = StoredFolder.Manifest, AdapterConfig = "adapter_config.json";

    private readonly OnceAtATime _fetches = new();

    /// <summary>Where a job's checkpoints are found on this machine by whoever does not train it.</summary>
    public RunFolder Run(string jobId) => artifacts.IsDisk ? storage.Run(jobId) : new(Path.Combine(storage.CacheDirectory, jobId));

    /// <returns>Its folder on this machine, not to be written to; null when it has gone.</returns>
    /// <exception cref="ArtifactDamagedException">When a file of it is not what was saved.</exception>
    public async Task<string?> Find(Checkpoint checkpoint, CancellationToken cancel)
    {
        if (artifacts.IsDisk)
            return Path.Combine(storage.Run(checkpoint.JobId).Path, checkpoint.Path) is var here && Directory.Exists(here) ? here : null;
        var folder = Path.Combine(Run(checkpoint.JobId).Checkpoints, string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(checkpoint.Path)}-{checkpoint.CreatedAt.UtcTicks:x}"));
        if (!Directory.Exists(folder))
            await _fetches.Do(folder, async () =>
            {
                if (await artifacts.Read(NameOf(checkpoint.JobId, checkpoint.Path) + AdapterConfig, CancellationToken.None) is not null)
                    await TellBase(checkpoint.JobId, CancellationToken.None);
                await Fetch(checkpoint, folder, CancellationToken.None);
            }).WaitAsync(cancel);
        if (!Directory.Exists(folder))
            return null;
        Directory.SetLastWriteTimeUtc(folder, TimeProvider.System.GetUtcNow().UtcDateTime); // What is used stays in the cache.
        return folder;
    }

    /// <summary>Brings a checkpoint here, whole or not at all.</summary>
    /// <returns>False when it has gone.</returns>
    public Task<bool> Fetch(Checkpoint checkpoint, string folder, CancellationToken cancel) => StoredFolder.Fetch(
        artifacts, NameOf(checkpoint.JobId, checkpoint.Path), folder,
        file => File.SetLastWriteTimeUtc(file, checkpoint.CreatedAt.UtcDateTime), // A download that goes on at another machine sees the same file.
        cancel);

    /// <summary>Stores a checkpoint of a run that goes on here.</summary>
    /// <param name="path">Relative to the run's folder.</param>
    /// <returns>False when it has gone meanwhile, or is another by now.</returns>
    public async Task<bool> Publish(string jobId, string path, CancellationToken cancel)
    {
        var folder = Path.Combine(storage.Run(jobId).Path, path);
        var (name, manifest) = (NameOf(jobId, path), Path.Combine(folder, Manifest));
        try
        {
            var content = await File.ReadAllBytesAsync(manifest, cancel);
            if (await artifacts.Read(name + Manifest, cancel) is { } stored && content.SequenceEqual(stored))
                return true; // By an attempt before.
            await artifacts.Delete(name, cancel);
            foreach (var (file, _) in StoredFolder.Files(name, content))
                await artifacts.Put(name + file, Path.Combine(folder, file), cancel);
            var now = await File.ReadAllBytesAsync(manifest, cancel);
            if (!content.SequenceEqual(now))
                return false;
            await artifacts.Put(name + Manifest, manifest, cancel);
            return true;
        }
        catch (Exception error) when (error is not ArtifactsAwayException && !File.Exists(manifest))
        {
            return false;
        }
    }

    public Task Delete(string jobId, string path, CancellationToken cancel) => artifacts.Delete(NameOf(jobId, path), cancel);

    /// <summary>Deletes from the store what a run has there beyond a step: it is void.</summary>
    public async Task DeleteBeyond(string jobId, int step, CancellationToken cancel)
    {
        const string Prefix = "checkpoints/checkpoint-";
        var found = await artifacts.List(NameOf(jobId, Prefix)[..^1], cancel);
        foreach (var folder in found.Select(name => name.Split('/')[3]).Distinct().Where(folder => int.Parse(folder.AsSpan(folder.LastIndexOf('-') + 1), CultureInfo.InvariantCulture) > step))
            await Delete(jobId, $"checkpoints/{folder}", cancel);
    }

    /// <summary>An adapter looks for its base where the run that made it had it; here that may be elsewhere.</summary>
    private async Task TellBase(string jobId, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var spec = await db.Jobs.IgnoreQueryFilters().Where(job => job.Id == jobId).Select(job => job.Spec).SingleAsync(cancel);
        var name = JsonNode.Parse(spec)!["base_model"]!.GetValue<string>();
        // As the worker did that trained upon it.
        var folder = CheckpointName.Parse(name) is { Step: { } step } whole && await db.Checkpoints.FindAsync([whole.JobId, step], cancel) is { } row && await Find(row, cancel) is { } found
            ? await merges.WholeModel(Run(whole.JobId), found, cancel)
            : await baseModels.Find(name, cancel);
        Directory.CreateDirectory(Run(jobId).Path);
        await File.WriteAllTextAsync(Run(jobId).Job, new JsonObject { ["base_model"] = folder }.ToJsonString(), cancel);
    }

    private static string NameOf(string jobId, string path) => $"runs/{jobId}/{path}/";
}
