using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Training.Native;

namespace FineTuneService.Api.BaseModels;

/// <summary>
/// A model on its way into the models directory, in a hidden folder of it: its final name appears by one rename, after everything is on the disk.
/// If we die before, the hidden folder stays, which <see cref="Sweep"/> removes.
/// </summary>
internal sealed class BaseModelDraft : IDisposable
{
    private const string Drafts = ".drafts";
    private static readonly TimeSpan Abandoned = TimeSpan.FromDays(1);

    private readonly StorageSettings _storage;
    private readonly string _path;

    /// <exception cref="ProblemException">503 when the models directory cannot be written.</exception>
    public BaseModelDraft(StorageSettings storage)
    {
        (_storage, _path) = (storage, Path.Combine(storage.ModelsDirectory, Drafts, Guid.CreateVersion7().ToString("N")));
        try
        {
            Directory.CreateDirectory(Folder);
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException { HResult: 30 }) // EROFS
        {
            throw new ProblemException(StatusCodes.Status503ServiceUnavailable, "The service may not write its models directory; its operator can allow it.");
        }
    }

    /// <summary>The file that was sent.</summary>
    public string Archive => Path.Combine(_path, "archive");

    /// <summary>Where it is unpacked.</summary>
    public string Folder => Path.Combine(_path, "model");

    /// <param name="folder">Within <see cref="Folder"/>.</param>
    /// <exception cref="ProblemException">409 when the name is taken.</exception>
    public void Publish(string folder, string name)
    {
        var target = Path.Combine(_storage.ModelsDirectory, name);
        foreach (var inner in Directory.EnumerateDirectories(folder).Append(folder))
            Durable.FlushFolder(inner);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        try
        {
            Directory.Move(folder, target);
        }
        catch (IOException) when (Path.Exists(target))
        {
            throw Taken(name);
        }
        Durable.Flush(Path.GetDirectoryName(target)!);
    }

    /// <exception cref="ProblemException">409 when the name is taken.</exception>
    public async Task CheckName(string name, BaseModelFiles models, CancellationToken cancel)
    {
        if (Path.Exists(Path.Combine(_storage.ModelsDirectory, name)) || await models.IsStored(name, cancel))
            throw Taken(name);
    }

    public void Dispose() => Directory.Delete(_path, recursive: true);

    /// <summary>Removes what a process left behind when it died.</summary>
    public static void Sweep(StorageSettings storage, TimeProvider clock)
    {
        if (new DirectoryInfo(Path.Combine(storage.ModelsDirectory, Drafts)) is { Exists: true } drafts)
            foreach (var draft in drafts.EnumerateDirectories().Where(draft => clock.GetUtcNow() - draft.LastWriteTimeUtc > Abandoned))
                draft.Delete(recursive: true);
    }

    private static ProblemException Taken(string name) => ProblemException.Conflict($"There is a base model '{name}' already. Give another name.");
}
