using FineTuneService.Storage;

namespace FineTuneService.Api.OpenAi;

/// <summary>Where the parts of an upload lie until it ends.</summary>
internal sealed class UploadFolder(StorageSettings storage, string uploadId)
{
    private readonly string _path = Path.Combine(storage.UploadsDirectory, uploadId);

    public FileStream Create(string partId)
    {
        Directory.CreateDirectory(_path);
        return new FileStream(Path.Combine(_path, partId), FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.Asynchronous);
    }

    public FileStream Open(string partId) => new(Path.Combine(_path, partId), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0, FileOptions.Asynchronous | FileOptions.SequentialScan);

    public void Delete(string partId)
    {
        if (Directory.Exists(_path))
            File.Delete(Path.Combine(_path, partId));
    }

    /// <summary>Deletes all parts.</summary>
    public void Delete()
    {
        try
        {
            Directory.Delete(_path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // There were none, or another host was faster.
        }
    }
}
