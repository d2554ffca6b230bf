using FineTuneService.Contracts;

namespace FineTuneService.Storage.Artifacts;

/// <summary>The small files of a run that outlive the machine it ran on: what it has changed about itself, and its first rows as the model reads them.</summary>
public sealed class RunFiles(StorageSettings storage, ArtifactStore artifacts)
{
    public async Task Save(string jobId, CancellationToken cancel)
    {
        if (artifacts.IsDisk)
            return;
        foreach (var file in Lasting(storage.Run(jobId)))
            if (File.Exists(file))
                await artifacts.Put(NameOf(jobId, file), file, cancel);
            else
                await artifacts.Delete(NameOf(jobId, file), cancel); // The trainer takes a mark away when it has heard it.
    }

    public async Task Restore(string jobId, CancellationToken cancel)
    {
        foreach (var file in Lasting(storage.Run(jobId)))
            await artifacts.Fetch(NameOf(jobId, file), file, null, cancel);
    }

    /// <summary>The lines of <see cref="RunFolder.Samples"/>; none before the trainer has written it.</summary>
    public async Task<IReadOnlyList<string>> Samples(string jobId, CancellationToken cancel)
    {
        var file = storage.Run(jobId).Samples;
        if (artifacts.IsDisk)
            return File.Exists(file) ? await File.ReadAllLinesAsync(file, cancel) : [];
        return await artifacts.Read(NameOf(jobId, file), cancel) is { } utf8 ? [.. System.Text.Encoding.UTF8.GetString(utf8).Split('\n').Where(line => line.Length > 0)] : [];
    }

    private static string[] Lasting(RunFolder run) => [run.Adaptation, run.OutOfMemory, run.Samples];

    private static string NameOf(string jobId, string file) => $"runs/{jobId}/{Path.GetFileName(file)}";
}
