using FineTuneService.Contracts;

namespace FineTuneService.Hub;

/// <summary>A model's files at a commit, as they lie in the cache or in a preview.</summary>
/// <param name="Id">As users name it.</param>
/// <param name="Commit">40 hexadecimal digits.</param>
/// <param name="Path">A Hugging Face folder.</param>
public sealed record HubSnapshot(string Id, string Commit, string Path);

/// <summary>
/// The cache in huggingface_hub's own layout, so that both can share one: <c>models--org--name/</c> with <c>blobs/ETAG</c>, <c>refs/REVISION</c> (a text: the commit)
/// and <c>snapshots/COMMIT/FILE</c> (links to blobs); <c>.locks/models--org--name/ETAG.lock</c> is held (flock) by whoever writes a blob.
/// </summary>
internal sealed class HubCache(string root)
{
    private const string Prefix = "models--";
    private const int WouldBlock = 11; // EWOULDBLOCK, which .NET hands on as HResult
    private static readonly TimeSpan LockInterval = TimeSpan.FromMilliseconds(100);

    public string Blob(string id, string etag) => Path.Combine(Repository(id), "blobs", etag);

    public string Snapshot(string id, string commit) => Path.Combine(Repository(id), "snapshots", commit);

    /// <summary>The commit that a revision was when it was last asked for.</summary>
    public string? CommitOf(HubModel model)
    {
        if (HubModel.IsCommit(model.Revision))
            return model.Revision;
        var path = Path.Combine(Repository(model.Id), "refs", model.Revision);
        return File.Exists(path) && File.ReadAllText(path).Trim() is var commit && HubModel.IsCommit(commit) ? commit : null;
    }

    public void Remember(HubModel model, string commit)
    {
        if (HubModel.IsCommit(model.Revision) || CommitOf(model) == commit)
            return;
        var path = Path.Combine(Repository(model.Id), "refs", model.Revision);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var draft = DraftOf(path);
        File.WriteAllText(draft, commit);
        File.Move(draft, path, overwrite: true);
    }

    /// <summary>Whether the bytes are there. A blob gets its name after its hash was checked, so its size is proof enough.</summary>
    public bool Has(string id, HubFile file) => new FileInfo(Blob(id, file.Etag!)) is { Exists: true } blob && blob.Length == file.Size;

    /// <summary>Makes the blob appear under its name in the snapshot.</summary>
    public void Link(string id, string commit, HubFile file)
    {
        var path = Path.Combine(Snapshot(id, commit), file.Path);
        var folder = Directory.CreateDirectory(Path.GetDirectoryName(path)!).FullName;
        var target = Path.GetRelativePath(folder, Blob(id, file.Etag!));
        if (new FileInfo(path).LinkTarget == target)
            return;
        var draft = DraftOf(path);
        File.CreateSymbolicLink(draft, target);
        File.Move(draft, path, overwrite: true);
    }

    /// <summary>Waits until nobody else, in this process or another, writes this blob.</summary>
    public async Task<FileStream> Lock(string id, string etag, CancellationToken cancel)
    {
        Directory.CreateDirectory(Path.Combine(Repository(id), "blobs"));
        var path = Path.Combine(Directory.CreateDirectory(Path.Combine(root, ".locks", NameOf(id))).FullName, etag + ".lock");
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException error) when (error.HResult == WouldBlock)
            {
                await Task.Delay(LockInterval, cancel);
            }
        }
    }

    /// <summary>The snapshot, if nothing that a model needs is missing; null otherwise.</summary>
    /// <param name="withWeights">False: of a model that is trained from its config on.</param>
    public HubSnapshot? Whole(string id, string commit, bool withWeights = true)
    {
        var path = Snapshot(id, commit);
        return IsWhole(path, withWeights) ? new(id, commit, path) : null;
    }

    /// <summary>Every whole snapshot, by name and commit.</summary>
    public IEnumerable<HubSnapshot> Snapshots() =>
        from repository in Folders(root, Prefix + "*")
        let id = repository.Name[Prefix.Length..].Replace("--", "/", StringComparison.Ordinal)
        where HubModel.IsId(id)
        from snapshot in Folders(System.IO.Path.Combine(repository.FullName, "snapshots"), "*")
        where HubModel.IsCommit(snapshot.Name) && IsWhole(snapshot.FullName)
        orderby id, snapshot.Name
        select new HubSnapshot(id, snapshot.Name, snapshot.FullName);

    private static bool IsWhole(string snapshot, bool withWeights = true)
    {
        bool Has(string name) => new FileInfo(Path.Combine(snapshot, name)) is { Exists: true } file && file.ResolveLinkTarget(true)?.Exists != false;
        if (!Has("config.json") && !Has(ModelFiles.AdapterConfig))
            return false;
        if (!withWeights)
            return true;
        if (Has(ModelFiles.SingleWeights) || Has(ModelFiles.AdapterWeights) || !Has(ModelFiles.WeightsIndex))
            return Has(ModelFiles.SingleWeights) || Has(ModelFiles.AdapterWeights);
        try
        {
            return ModelFiles.ShardsOf(File.ReadAllText(Path.Combine(snapshot, ModelFiles.WeightsIndex))).All(Has);
        }
        catch (FaultException)
        {
            return false;
        }
    }

    private static IEnumerable<DirectoryInfo> Folders(string path, string pattern) => new DirectoryInfo(path) is { Exists: true } folder ? folder.EnumerateDirectories(pattern) : [];

    private static string NameOf(string id) => Prefix + id.Replace("/", "--", StringComparison.Ordinal);

    private string Repository(string id) => Path.Combine(root, NameOf(id));

    /// <summary>Beside the path, so that a rename puts it there at once.</summary>
    private static string DraftOf(string path) => $"{path}.{Guid.NewGuid():N}.draft";
}
