using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Checkpoints;

/// <summary>Names of the faults that huggingface/safetensors tells apart (<c>SafeTensorError</c>).</summary>
public enum SafetensorsError
{
    HeaderTooSmall,
    HeaderTooLarge,
    InvalidHeaderLength,
    InvalidHeader,
    InvalidHeaderDeserialization,
    InvalidOffset,
    ValidationOverflow,
    MisalignedSlice,
    TensorInvalidInfo,
    MetadataIncompleteBuffer,
}

/// <summary>A tensor's place in a file.</summary>
/// <param name="Dtype">As the format names it: F32, BF16, I64 …</param>
/// <param name="Offset">First byte, counted from the start of the file.</param>
public sealed record SafetensorsEntry(string Dtype, long[] Shape, string File, long Offset, long Bytes);

/// <summary>
/// The header of a safetensors file: u64 little-endian length, JSON, then the data. Checks stand in the order of the reference reader
/// (huggingface/safetensors, <c>tensor.rs</c>), so that a hostile file gets the same verdict. Needs no libtorch.
/// </summary>
public static class SafetensorsHeader
{
    private const int LengthBytes = 8;
    private const long MaxLength = 100_000_000;

    /// <exception cref="FaultException">Its message begins with the name of a <see cref="SafetensorsError"/>.</exception>
    public static (IReadOnlyDictionary<string, SafetensorsEntry> Entries, IReadOnlyDictionary<string, string> Metadata) Read(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        Span<byte> lengthBytes = stackalloc byte[LengthBytes];
        if (file.Length < LengthBytes)
            throw Fault(SafetensorsError.HeaderTooSmall, path, "the file is shorter than 8 bytes");
        file.ReadExactly(lengthBytes);
        var length = BinaryPrimitives.ReadUInt64LittleEndian(lengthBytes);
        if (length > MaxLength)
            throw Fault(SafetensorsError.HeaderTooLarge, path, $"the header claims {length} bytes, more than {MaxLength}");
        if (LengthBytes + (long)length > file.Length)
            throw Fault(SafetensorsError.InvalidHeaderLength, path, $"the header claims {length} bytes, the file has {file.Length}");
        var header = new byte[length];
        file.ReadExactly(header);
        return Parse(path, header, file.Length);
    }

    private static (IReadOnlyDictionary<string, SafetensorsEntry>, IReadOnlyDictionary<string, string>) Parse(string path, byte[] header, long fileLength)
    {
        try
        {
            new UTF8Encoding(false, throwOnInvalidBytes: true).GetCharCount(header);
        }
        catch (DecoderFallbackException error)
        {
            throw Fault(SafetensorsError.InvalidHeader, path, $"the header is not UTF-8 at byte {error.Index}");
        }
        var start = LengthBytes + header.Length;
        var entries = new Dictionary<string, SafetensorsEntry>();
        IReadOnlyDictionary<string, string> metadata = new Dictionary<string, string>();
        try
        {
            using var document = JsonDocument.Parse(header, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false });
            foreach (var property in document.RootElement.EnumerateObject())
                if (property.NameEquals("__metadata__"))
                    metadata = property.Value.EnumerateObject().ToDictionary(pair => pair.Name, pair => pair.Value.GetString() ?? throw new JsonException("__metadata__ holds strings only"));
                else
                    entries.Add(property.Name, Entry(property.Value, path));
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            throw Fault(SafetensorsError.InvalidHeaderDeserialization, path, error.Message);
        }
        Check(path, entries, start, fileLength);
        return (entries.ToDictionary(entry => entry.Key, entry => entry.Value with { Offset = entry.Value.Offset + start }), metadata);
    }

    /// <summary>Offsets still count from the end of the header.</summary>
    private static SafetensorsEntry Entry(JsonElement json, string path)
    {
        foreach (var property in json.EnumerateObject())
            if (property.Name is not ("dtype" or "shape" or "data_offsets"))
                throw new JsonException($"unknown field {property.Name}");
        var dtype = json.GetProperty("dtype").GetString();
        if (dtype is null || BitsOf(dtype) == 0)
            throw new JsonException($"unknown dtype {dtype}");
        long[] shape = [.. json.GetProperty("shape").EnumerateArray().Select(Unsigned)];
        long[] offsets = [.. json.GetProperty("data_offsets").EnumerateArray().Select(Unsigned)];
        return offsets is [var begin, var end] ? new(dtype, shape, path, begin, end - begin) : throw new JsonException("data_offsets holds two numbers");

        // Rust reads u64; what does not fit into 63 bits is no real size, and the checks that follow would say no more than this.
        static long Unsigned(JsonElement number) => number.TryGetUInt64(out var value) ? (long)Math.Min(value, long.MaxValue) : throw new JsonException($"{number.GetRawText()} is no size");
    }

    private static void Check(string path, Dictionary<string, SafetensorsEntry> entries, long start, long fileLength)
    {
        long position = 0;
        foreach (var (name, entry) in entries.OrderBy(entry => entry.Value.Offset).ThenBy(entry => entry.Value.Bytes))
        {
            if (entry.Offset != position || entry.Bytes < 0)
                throw Fault(SafetensorsError.InvalidOffset, path, $"tensor {name} does not begin where the one before it ends");
            position += entry.Bytes;
            long bits;
            try
            {
                bits = checked(entry.Shape.Aggregate(1L, (product, size) => checked(product * size)) * BitsOf(entry.Dtype));
            }
            catch (OverflowException)
            {
                throw Fault(SafetensorsError.ValidationOverflow, path, $"tensor {name} has more elements than a file can hold");
            }
            if (bits % 8 != 0)
                throw Fault(SafetensorsError.MisalignedSlice, path, $"tensor {name} does not end at a byte");
            if (bits / 8 != entry.Bytes)
                throw Fault(SafetensorsError.TensorInvalidInfo, path, $"tensor {name} needs {bits / 8} bytes for its shape and has {entry.Bytes}");
        }
        if (start + position != fileLength)
            throw Fault(SafetensorsError.MetadataIncompleteBuffer, path, $"the header describes {start + position} bytes, the file has {fileLength}");
    }

    /// <summary>Bits of an element; 0 for a type that the format does not know.</summary>
    private static int BitsOf(string dtype) => dtype switch
    {
        "F4" => 4,
        "F6_E2M3" or "F6_E3M2" => 6,
        "BOOL" or "U8" or "I8" or "F8_E4M3" or "F8_E5M2" or "F8_E8M0" or "F8_E4M3FNUZ" or "F8_E5M2FNUZ" => 8,
        "I16" or "U16" or "F16" or "BF16" => 16,
        "I32" or "U32" or "F32" => 32,
        "I64" or "U64" or "F64" or "C64" => 64,
        _ => 0,
    };

    private static FaultException Fault(SafetensorsError error, string path, string what) =>
        new(path, null, $"{error}: {what}.", "The file is damaged or was never a safetensors file: fetch or export it again.");
}
