namespace FineTuneService.Storage.Artifacts;

/// <summary>
/// Where files are that more than one machine needs: datasets, checkpoints, what a run needs to go on. Code reads them in the data directory all the same;
/// a name here is the path of a file in there, relative, with forward slashes.
/// </summary>
public abstract class ArtifactStore
{
    /// <summary>All machines see one data directory, so whatever lies there is stored already.</summary>
    public abstract bool IsDisk { get; }

    /// <summary>Stores a file under a name: whole or not at all.</summary>
    /// <exception cref="ArtifactsAwayException">By every method here that cannot reach the store.</exception>
    public abstract Task Put(string name, string file, CancellationToken cancel);

    /// <summary>Brings a file here; it appears whole or not at all.</summary>
    /// <param name="sha256">What it must have, in lowercase hex; null: nobody knows.</param>
    /// <returns>False when there is none.</returns>
    /// <exception cref="ArtifactDamagedException">When it has another checksum.</exception>
    public abstract Task<bool> Fetch(string name, string file, string? sha256, CancellationToken cancel);

    /// <summary>A small file's content; null when there is none.</summary>
    public abstract Task<byte[]?> Read(string name, CancellationToken cancel);

    /// <summary>Names that begin with <paramref name="prefix"/>.</summary>
    public abstract Task<IReadOnlyList<string>> List(string prefix, CancellationToken cancel);

    /// <summary>Deletes whatever begins with <paramref name="prefix"/>.</summary>
    public abstract Task Delete(string prefix, CancellationToken cancel);

    /// <summary>Whether the store answers and lets us in.</summary>
    public abstract Task Check(CancellationToken cancel);
}
