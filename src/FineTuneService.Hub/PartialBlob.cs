using System.Security.Cryptography;
using System.Text;

namespace FineTuneService.Hub;

/// <summary>A blob on its way: <c>ETAG.incomplete</c>, hashed as it grows, which gets its name once it is whole, right and on the disk.</summary>
internal sealed class PartialBlob : IAsyncDisposable
{
    private const int BufferBytes = 1 << 20;
    private const int GitSha1Length = 40;

    private readonly FileStream _file;
    private readonly HubFile _expected;
    private IncrementalHash _hash;

    private PartialBlob(FileStream file, HubFile expected) => (_file, _expected, _hash) = (file, expected, Begin(expected));

    /// <summary>Bytes so far.</summary>
    public long Length { get; private set; }

    /// <summary>Whether its beginning stems from an earlier try, of which only the disk knows.</summary>
    public bool IsResumed { get; private set; }

    public static async Task<PartialBlob> Open(string blob, HubFile expected, CancellationToken cancel)
    {
        var part = new PartialBlob(new FileStream(blob + ".incomplete", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0, FileOptions.Asynchronous), expected);
        try
        {
            await part.HashWhatIsThere(cancel);
            return part;
        }
        catch
        {
            await part.DisposeAsync();
            throw;
        }
    }

    public async Task Append(ReadOnlyMemory<byte> bytes, CancellationToken cancel)
    {
        await _file.WriteAsync(bytes, cancel);
        _hash.AppendData(bytes.Span);
        Length += bytes.Length;
    }

    public void Restart()
    {
        _file.SetLength(0);
        _file.Position = 0;
        _hash.Dispose();
        (_hash, Length, IsResumed) = (Begin(_expected), 0, false);
    }

    /// <summary>The name that the content has, by the kind of its expected name.</summary>
    public string Etag() => Convert.ToHexStringLower(_hash.GetCurrentHash());

    public void Publish(string blob)
    {
        _file.Flush(flushToDisk: true);
        File.Move(_file.Name, blob, overwrite: true);
    }

    public void Delete() => File.Delete(_file.Name);

    public async ValueTask DisposeAsync()
    {
        _hash.Dispose();
        await _file.DisposeAsync();
    }

    private async Task HashWhatIsThere(CancellationToken cancel)
    {
        if (_file.Length > _expected.Size)
            _file.SetLength(0);
        var buffer = new byte[BufferBytes];
        for (int read; (read = await _file.ReadAsync(buffer, cancel)) > 0; Length += read)
            _hash.AppendData(buffer, 0, read);
        IsResumed = Length > 0;
    }

    /// <summary>Git LFS names content by sha256; git by the sha1 of a header with the size, and the content.</summary>
    private static IncrementalHash Begin(HubFile expected)
    {
        if (expected.Etag!.Length != GitSha1Length)
            return IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {expected.Size}\0"));
        return hash;
    }
}
