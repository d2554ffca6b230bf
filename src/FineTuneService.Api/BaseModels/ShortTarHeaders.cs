using System.Text;

namespace FineTuneService.Api.BaseModels;

/// <summary>
/// A tar that is read from its first byte to its last, whose headers of headers (PAX attributes, GNU's long names) are short. <see cref="System.Formats.Tar.TarReader"/> keeps those in memory,
/// as long as they claim to be; a few packed kilobytes can claim, and be, two gigabytes. It asks for a header by one whole block.
/// </summary>
internal sealed class ShortTarHeaders(Stream tar) : Stream
{
    private const int Block = 512, Longest = 1 << 20;
    private const int SizeAt = 124, SizeLength = 12, TypeAt = 156, MagicAt = 257;

    public override bool CanRead => true;

    public override bool CanSeek => false; // What is passed over is read, too.

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <exception cref="InvalidDataException">When a header is too long.</exception>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancel = default)
    {
        if (buffer.Length != Block)
            return await tar.ReadAsync(buffer, cancel);
        var read = await tar.ReadAtLeastAsync(buffer, Block, throwOnEndOfStream: false, cancel);
        if (read == Block && IsLong(buffer.Span))
            throw new InvalidDataException($"a header is longer than {Longest} bytes.");
        return read;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private static bool IsLong(ReadOnlySpan<byte> header)
    {
        if (header[TypeAt] is not ((byte)'x' or (byte)'g' or (byte)'L' or (byte)'K') || !header[MagicAt..].StartsWith("ustar"u8))
            return false;
        var size = Encoding.ASCII.GetString(header.Slice(SizeAt, SizeLength)).Trim(' ', '\0');
        return size.Any(digit => digit is < '0' or > '7') || (size.Length > 0 && Convert.ToInt64(size, 8) > Longest); // Other digits: a number in base 256, which only huge ones need.
    }
}
