using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace FineTuneService.Storage.Artifacts;

/// <summary>
/// Base models' folders. What is posted lies in the models directory of the host that took it in, and in the bucket, from where others bring it into their cache;
/// what an operator puts into a models directory is that machine's own.
/// </summary>
public sealed class BaseModelFiles(StorageSettings storage, ArtifactStore artifacts)
{
    private readonly OnceAtATime _fetches = new();

    /// <summary>Whether the bucket has it.</summary>
    public async Task<bool> IsStored(string name, CancellationToken cancel) => await artifacts.Read(NameOf(name) + StoredFolder.Manifest, cancel) is not null;

    /// <summary>Stores a model's files, the manifest last: half a model never counts.</summary>
    public async Task Publish(string name, string folder, CancellationToken cancel)
    {
        if (artifacts.IsDisk)
            return;
        var files = new JsonObject();
        foreach (var file in Directory.EnumerateFiles(folder))
        {
            await using (var content = File.OpenRead(file))
                files[Path.GetFileName(file)] = new JsonObject { ["sha256"] = Convert.ToHexStringLower(await SHA256.HashDataAsync(content, cancel)) };
            await artifacts.Put(NameOf(name) + Path.GetFileName(file), file, cancel);
        }
        var manifest = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(manifest, new JsonObject { ["files"] = files }.ToJsonString(), cancel);
            await artifacts.Put(NameOf(name) + StoredFolder.Manifest, manifest, cancel);
        }
        finally
        {
            File.Delete(manifest);
        }
    }

    /// <returns>Its folder on this machine; where nobody has it, the one where it should be.</returns>
    /// <exception cref="ArtifactDamagedException">When a file of it is not what was stored.</exception>
    public async Task<string> Find(string name, CancellationToken cancel)
    {
        var own = Path.Combine(storage.ModelsDirectory, name);
        return Directory.Exists(own) ? own : await FindStored(name, cancel) ?? own;
    }

    /// <returns>The folder here of what the bucket has; null when it has none.</returns>
    /// <exception cref="ArtifactDamagedException">When a file of it is not what was stored.</exception>
    public async Task<string?> FindStored(string name, CancellationToken cancel)
    {
        var cached = Path.Combine(storage.CacheDirectory, "models", name);
        if (!artifacts.IsDisk && !Directory.Exists(cached))
            await _fetches.Do(cached, () => StoredFolder.Fetch(artifacts, NameOf(name), cached, _ => { }, CancellationToken.None)).WaitAsync(cancel);
        return Directory.Exists(cached) ? cached : null;
    }

    private static string NameOf(string name) => $"models/{name}/";
}
