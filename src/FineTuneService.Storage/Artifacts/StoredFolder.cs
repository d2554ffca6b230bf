using System.Text.Json;
using System.Text.Json.Nodes;

namespace FineTuneService.Storage.Artifacts;

/// <summary>A folder in the store: its files, and a manifest with their SHA-256, which was stored last.</summary>
internal static class StoredFolder
{
    public const string Manifest = "manifest.json";

    /// <summary>Brings it here, whole or not at all.</summary>
    /// <param name="name">Ends in a slash.</param>
    /// <param name="finish">Gets the path of each file before the folder appears.</param>
    /// <returns>False when it has gone.</returns>
    public static async Task<bool> Fetch(ArtifactStore artifacts, string name, string folder, Action<string> finish, CancellationToken cancel)
    {
        if (await artifacts.Read(name + Manifest, cancel) is not { } manifest)
            return false;
        var draft = Path.Combine(Directory.CreateDirectory(Path.GetDirectoryName(folder)!).FullName, $".fetching-{Guid.CreateVersion7():N}");
        Directory.CreateDirectory(draft);
        try
        {
            foreach (var (file, sha256) in Files(name, manifest))
                if (!await artifacts.Fetch(name + file, Path.Combine(draft, Path.GetFileName(file)), sha256, cancel))
                    return false;
            await File.WriteAllBytesAsync(Path.Combine(draft, Manifest), manifest, cancel);
            foreach (var file in Directory.EnumerateFiles(draft))
                finish(file);
            Directory.Move(draft, folder);
            return true;
        }
        catch (IOException) when (Directory.Exists(folder))
        {
            return true; // Another process was faster.
        }
        finally
        {
            if (Directory.Exists(draft))
                Directory.Delete(draft, recursive: true);
        }
    }

    /// <summary>The files of a manifest with their SHA-256.</summary>
    /// <exception cref="ArtifactDamagedException">When it is none.</exception>
    public static IReadOnlyList<(string File, string Sha256)> Files(string name, byte[] manifest)
    {
        try
        {
            return [.. JsonNode.Parse(manifest)!["files"]!.AsObject().Select(file => (file.Key, file.Value!["sha256"]!.GetValue<string>()))];
        }
        catch (Exception error) when (error is JsonException or NullReferenceException or InvalidOperationException)
        {
            throw new ArtifactDamagedException(name + Manifest);
        }
    }
}
