using FineTuneService.Contracts;

namespace FineTuneService.Storage.Artifacts;

/// <summary>Datasets' files: stored before their row tells of them, and brought here when they are needed here.</summary>
public sealed class DatasetFiles(StorageSettings storage, ArtifactStore artifacts)
{
    private readonly OnceAtATime _fetches = new();

    public Task Publish(Dataset dataset, CancellationToken cancel) => artifacts.Put(NameOf(dataset), storage.DatasetFile(dataset), cancel);

    /// <summary>Stores what became of each row that a cleaned dataset was made of.</summary>
    /// <param name="file">Moves to its place.</param>
    public async Task PublishLedger(Dataset dataset, string file, CancellationToken cancel)
    {
        File.Move(file, storage.DatasetLedger(dataset));
        await artifacts.Put(LedgerOf(dataset), storage.DatasetLedger(dataset), cancel);
    }

    /// <returns>The ledger's file on this machine; null when the dataset has none.</returns>
    public async Task<string?> FindLedger(Dataset dataset, CancellationToken cancel)
    {
        var file = storage.DatasetLedger(dataset);
        if (!artifacts.IsDisk && !File.Exists(file))
            await _fetches.Do(file, () => artifacts.Fetch(LedgerOf(dataset), file, sha256: null, CancellationToken.None)).WaitAsync(cancel);
        return File.Exists(file) ? file : null;
    }

    /// <returns>Its file on this machine.</returns>
    /// <exception cref="FaultException">When it has gone.</exception>
    /// <exception cref="ArtifactDamagedException">When it is not what was uploaded.</exception>
    public async Task<string> Find(Dataset dataset, CancellationToken cancel)
    {
        var file = storage.DatasetFile(dataset);
        if (!artifacts.IsDisk && !File.Exists(file))
            await _fetches.Do(file, () => Fetch(dataset, file)).WaitAsync(cancel);
        return file;
    }

    /// <summary>Deletes the files of a dataset whose row is gone. What the store keeps because it is away, <see cref="OrphanedArtifacts"/> finds.</summary>
    public async Task Delete(Dataset dataset, CancellationToken cancel)
    {
        File.Delete(storage.DatasetFile(dataset));
        File.Delete(storage.DatasetLedger(dataset));
        try
        {
            await artifacts.Delete(NameOf(dataset), cancel);
            await artifacts.Delete(LedgerOf(dataset), cancel);
        }
        catch (ArtifactsAwayException)
        {
            // It is told by the checks of health.
        }
    }

    private async Task Fetch(Dataset dataset, string file)
    {
        if (!await artifacts.Fetch(NameOf(dataset), file, dataset.Sha256, CancellationToken.None))
            throw new FaultException("/dataset", dataset.Id, "The file of this dataset has gone from the artifact store.", "Upload it again, and post the job with the new dataset.");
    }

    private static string NameOf(Dataset dataset) => $"datasets/{dataset.Id}.{dataset.Format}";

    private static string LedgerOf(Dataset dataset) => $"datasets/{dataset.Id}.ledger";
}
