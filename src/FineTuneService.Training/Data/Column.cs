using System.IO.MemoryMappedFiles;
using System.Numerics;
using System.Runtime.InteropServices;

namespace FineTuneService.Training.Data;

/// <summary>A file of numbers of one type as memory: the system reads what is touched and lets go of it again, so that it may be larger than memory is.</summary>
internal sealed unsafe class Column<T> where T : unmanaged
{
    private readonly MemoryMappedViewAccessor? _view; // Kept: the file stays mapped as long as it lives, even when its name is gone.
    private readonly T* _first;

    /// <exception cref="IOException">When there is no such file.</exception>
    public Column(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        Count = file.Length / sizeof(T);
        if (Count == 0)
            return; // Nothing cannot be mapped.
        using var mapped = MemoryMappedFile.CreateFromFile(file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        _view = mapped.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        _first = (T*)_view.SafeMemoryMappedViewHandle.DangerousGetHandle(); // _view holds it.
    }

    public long Count { get; }

    public T this[long at] => Span(at, 1)[0];

    /// <summary>Valid as long as this column.</summary>
    public ReadOnlySpan<T> Span(long start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Count - count);
        return new(_first + start, count);
    }
}

/// <summary>Writes such a file from its beginning to its end.</summary>
internal sealed class ColumnWriter<T>(string path) : IDisposable where T : unmanaged
{
    private readonly FileStream _file = new(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read, bufferSize: 1 << 20);

    public long Count { get; private set; }

    public void Add(T value) => Add([value]);

    public void Add(ReadOnlySpan<T> values)
    {
        _file.Write(MemoryMarshal.AsBytes(values));
        Count += values.Length;
    }

    /// <summary>What was written before.</summary>
    public T[] Read(long start, int count)
    {
        _file.Flush();
        var values = new T[count];
        var bytes = MemoryMarshal.AsBytes(values.AsSpan());
        for (var read = 0; read < bytes.Length;)
            read += RandomAccess.Read(_file.SafeFileHandle, bytes[read..], start * Marshal.SizeOf<T>() + read);
        return values;
    }

    public void Dispose() => _file.Dispose();
}

/// <summary>Tells whether a file is still what was written.</summary>
internal static class BlockSums
{
    private const int Block = 1 << 24;

    /// <summary>CRC-32C of each 16 MiB, computed on all cores.</summary>
    public static uint[] Of(string path)
    {
        var bytes = new Column<byte>(path);
        var sums = new uint[(bytes.Count + Block - 1) / Block];
        Parallel.For(0, sums.Length, at => sums[at] = Sum(bytes.Span((long)at * Block, (int)Math.Min(Block, bytes.Count - (long)at * Block))));
        return sums;
    }

    private static uint Sum(ReadOnlySpan<byte> bytes)
    {
        var sum = uint.MaxValue;
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(bytes))
            sum = BitOperations.Crc32C(sum, word);
        foreach (var rest in bytes[(bytes.Length & ~7)..])
            sum = BitOperations.Crc32C(sum, rest);
        return sum;
    }
}
