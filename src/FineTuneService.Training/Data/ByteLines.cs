namespace FineTuneService.Training.Data;

/// <summary>A file as a stream of bytes with its line numbers; the byte order mark is skipped.</summary>
internal sealed class ByteLines : IDisposable
{
    private readonly FileStream _file;
    private readonly byte[] _buffer = new byte[1 << 16];
    private int _next, _filled;

    public ByteLines(string path)
    {
        _file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        Fill();
        if (_buffer.AsSpan(0, _filled).StartsWith("\uFEFF"u8))
            _next = 3;
    }

    /// <summary>Line of the byte that comes next, from 1.</summary>
    public long Line { get; private set; } = 1;

    /// <returns>The next byte, or −1 at the end.</returns>
    public int Peek() => _next < _filled || Fill() ? _buffer[_next] : -1;

    /// <inheritdoc cref="Peek"/>
    public int Read()
    {
        var value = Peek();
        if (value < 0)
            return value;
        _next++;
        if (value == '\n')
            Line++;
        return value;
    }

    /// <summary>The bytes up to the next of <paramref name="stops"/> or the end of what is buffered, which are taken; none of them may end a line.</summary>
    public ReadOnlySpan<byte> ReadUntil(System.Buffers.SearchValues<byte> stops)
    {
        if (Peek() < 0)
            return [];
        var rest = _buffer.AsSpan(_next, _filled - _next);
        var length = rest.IndexOfAny(stops);
        var taken = length < 0 ? rest : rest[..length];
        _next += taken.Length;
        return taken;
    }

    public void Dispose() => _file.Dispose();

    private bool Fill()
    {
        (_next, _filled) = (0, _file.Read(_buffer));
        return _filled > 0;
    }
}
