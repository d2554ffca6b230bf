using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Native;

namespace FineTuneService.Api.Datasets;

/// <summary>
/// A file on its way to become a dataset. Its final name appears by one rename, after its bytes are on the disk and were read through;
/// until then, whatever happens, nothing stays. If we die here, a hidden file stays, which <see cref="Sweep"/> removes.
/// </summary>
public sealed class DatasetDraft(StorageSettings storage, DatasetFiles datasets) : IAsyncDisposable
{
    private const string Prefix = ".draft-";
    private static readonly TimeSpan Abandoned = TimeSpan.FromDays(1);

    private readonly string _id = Ids.NewDataset();
    private string? _format;

    private string DraftPath => Path.Combine(storage.DatasetsDirectory, $"{Prefix}{_id}.{_format}");

    /// <param name="fileName">Only its ending matters; the file gets another name.</param>
    /// <exception cref="FaultException">When its ending tells no format.</exception>
    public FileStream Create(string fileName)
    {
        _format = DataFile.FormatOf(fileName);
        Directory.CreateDirectory(storage.DatasetsDirectory);
        return new FileStream(DraftPath, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0, FileOptions.Asynchronous);
    }

    /// <summary>Reads the file through, gives it its final name, and stores it: whoever sees the row, on whatever machine, can have it.</summary>
    /// <param name="origin">See <see cref="Dataset.Origin"/>.</param>
    /// <exception cref="FaultException">With file name and line of what is wrong in it.</exception>
    public async Task<Dataset> Publish(string projectId, string fileName, string name, string sha256, DateTimeOffset now, CancellationToken cancel, string? origin = null)
    {
        var profile = await Task.Run(() => Profile(fileName), cancel);
        var dataset = new Dataset
        {
            Id = _id,
            ProjectId = projectId,
            Name = name,
            FileName = fileName,
            Format = _format!,
            Sha256 = sha256,
            Bytes = new FileInfo(DraftPath).Length,
            Rows = profile.Rows,
            Profile = JsonSerializer.Serialize(profile, SnakeCaseJson.Options),
            Origin = origin,
            CreatedAt = now,
        };
        File.Move(DraftPath, storage.DatasetFile(dataset));
        try
        {
            Durable.Flush(storage.DatasetsDirectory);
            await datasets.Publish(dataset, cancel);
        }
        catch
        {
            File.Delete(storage.DatasetFile(dataset));
            throw;
        }
        return dataset;
    }

    public ValueTask DisposeAsync()
    {
        if (_format is not null)
            File.Delete(DraftPath);
        return ValueTask.CompletedTask;
    }

    /// <summary>Removes drafts that a process left behind when it died.</summary>
    public static void Sweep(StorageSettings storage, TimeProvider clock)
    {
        foreach (var draft in Directory.CreateDirectory(storage.DatasetsDirectory).EnumerateFiles($"{Prefix}*"))
            if (clock.GetUtcNow() - draft.LastWriteTimeUtc > Abandoned)
                draft.Delete();
    }

    private DatasetProfile Profile(string fileName)
    {
        try
        {
            return DatasetProfiler.Profile(DraftPath);
        }
        catch (FaultException error)
        {
            var draftName = Path.GetFileName(DraftPath);
            throw new FaultException([.. error.Faults.Select(fault => fault with { Pointer = fault.Pointer.Replace(draftName, fileName, StringComparison.Ordinal) })]);
        }
    }
}
