using System.Globalization;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;

namespace FineTuneService.Api.Uploads;

/// <summary>Where the parts of an upload lie until it ends.</summary>
internal sealed class UploadFolder(StorageSettings storage, string uploadId)
{
    private readonly string _path = Path.Combine(storage.UploadsDirectory, uploadId);

    public FileStream Create(string partId)
    {
        Directory.CreateDirectory(_path);
        return new FileStream(Path.Combine(_path, partId), FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.Asynchronous);
    }

    /// <summary>Writes a numbered part, which is there once it is whole and on the disk; it takes the place of an earlier one.</summary>
    public async Task Put(int number, Func<Stream, Task> write)
    {
        var (part, draft) = (Name(number), $"{Name(number)}.{Guid.NewGuid():N}");
        try
        {
            await using (var file = Create(draft))
            {
                await write(file);
                file.Flush(flushToDisk: true);
            }
            File.Move(Path.Combine(_path, draft), Path.Combine(_path, part), overwrite: true);
        }
        catch (IOException error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Gone();
        }
        catch
        {
            Delete(draft);
            throw;
        }
    }

    /// <summary>The numbered parts that are there, in their order.</summary>
    public IReadOnlyList<(int Number, long Bytes)> Numbered()
    {
        try
        {
            return
            [
                .. from file in new DirectoryInfo(_path).EnumerateFiles()
                   let number = int.TryParse(file.Name, NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) ? parsed : 0
                   where number > 0
                   orderby number
                   select (number, file.Length),
            ];
        }
        catch (DirectoryNotFoundException)
        {
            return []; // The first is still to come.
        }
    }

    public static string Name(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <exception cref="ProblemException">409 when the upload has ended meanwhile.</exception>
    public FileStream Open(string partId)
    {
        try
        {
            return new(Path.Combine(_path, partId), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0, FileOptions.Asynchronous | FileOptions.SequentialScan);
        }
        catch (IOException error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Gone();
        }
    }

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

    private static ProblemException Gone() => ProblemException.Conflict("The upload's parts are gone: another request has ended it meanwhile.");
}
