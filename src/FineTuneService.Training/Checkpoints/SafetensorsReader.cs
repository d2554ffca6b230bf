using System.Text.Json;
using FineTuneService.Contracts;
using static TorchSharp.torch;

namespace FineTuneService.Training.Checkpoints;

/// <summary>The tensors of a file, or of the shards that an index names, by name. Where the layout allows, a tensor is a view of a private mapping.</summary>
public sealed class SafetensorsReader : IDisposable
{
    private const string SingleFile = "model.safetensors", IndexFile = "model.safetensors.index.json";

    private readonly Dictionary<(string File, ScalarType Type), Tensor> _mapped = [];

    private SafetensorsReader(IReadOnlyDictionary<string, SafetensorsEntry> entries, IReadOnlyDictionary<string, string> metadata) =>
        (Entries, Metadata) = (entries, metadata);

    public IReadOnlyDictionary<string, SafetensorsEntry> Entries { get; }

    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <param name="path">A safetensors file, an index, or a folder with <c>model.safetensors</c> or its index.</param>
    /// <exception cref="FaultException">When there is none, or it is damaged.</exception>
    public static SafetensorsReader Open(string path)
    {
        var (entries, metadata) = ReadHeaders(path);
        return new(entries, metadata);
    }

    /// <summary>What <see cref="Open"/> checks, without touching a tensor: needs no libtorch.</summary>
    public static (IReadOnlyDictionary<string, SafetensorsEntry> Entries, IReadOnlyDictionary<string, string> Metadata) ReadHeaders(string path)
    {
        if (Directory.Exists(path))
            path = new[] { SingleFile, IndexFile }.Select(name => Path.Combine(path, name)).FirstOrDefault(File.Exists)
                ?? throw new FaultException(path, null, $"There is neither {SingleFile} nor {IndexFile} in this folder.", "Weights are read from safetensors only; convert pickles (.bin, .pt) with transformers' save_pretrained.");
        if (!File.Exists(path))
            throw new FaultException(path, null, "There is no such file.", "Check the path.");
        return path.EndsWith(".json", StringComparison.Ordinal) ? Sharded(path) : SafetensorsHeader.Read(path);
    }

    /// <summary>A CPU tensor; valid as long as this reader.</summary>
    public Tensor Read(string name)
    {
        var entry = Entry(name);
        var type = TypeOf(name, entry.Dtype);
        var element = type.ElementSize();
        var count = entry.Bytes / element;
        if (count == 0)
            return empty(entry.Shape, type);
        if (entry.Offset % element == 0)
            return Mapped(entry.File, type).narrow(0, entry.Offset / element, count).reshape(entry.Shape);
        var tensor = empty(entry.Shape, type);
        ReadInto(tensor, entry);
        return tensor;
    }

    /// <summary>Copies a tensor into one of the same shape, converting its type; where there is nothing to convert, straight from the file, which then takes no memory besides.</summary>
    public void CopyTo(string name, Tensor destination)
    {
        using var scope = NewDisposeScope();
        var entry = Entry(name);
        if (entry.Bytes > 0 && destination.dtype == TypeOf(name, entry.Dtype) && destination.device_type == TorchSharp.DeviceType.CPU && destination.is_contiguous() && destination.shape.SequenceEqual(entry.Shape))
            ReadInto(destination, entry);
        else
            destination.copy_(Read(name));
    }

    public void Dispose()
    {
        foreach (var tensor in _mapped.Values)
            tensor.Dispose();
    }

    private SafetensorsEntry Entry(string name) =>
        Entries.TryGetValue(name, out var entry) ? entry : throw new FaultException(name, null, "The file has no such tensor.", "Fetch or export it again.");

    /// <summary>The whole file as one flat tensor; what comes after its last full element is out of reach and out of interest.</summary>
    private Tensor Mapped(string file, ScalarType type)
    {
        if (!_mapped.TryGetValue((file, type), out var flat))
        {
            flat = from_file(file, shared: false, size: LengthOf(file) / type.ElementSize(), dtype: type).DetachFromDisposeScope();
            _mapped.Add((file, type), flat);
        }
        return flat;
    }

    /// <summary>Of the file that a link leads to, as in the hub's cache; FileInfo would tell the link's own.</summary>
    private static long LengthOf(string file)
    {
        using var handle = File.OpenHandle(file);
        return RandomAccess.GetLength(handle);
    }

    private static void ReadInto(Tensor tensor, SafetensorsEntry entry)
    {
        const int MaxSpan = 1 << 30; // A span holds at most 2 GiB.
        using var handle = File.OpenHandle(entry.File);
        var element = tensor.dtype.ElementSize();
        using var flat = tensor.reshape(-1);
        for (long done = 0; done < entry.Bytes;)
        {
            var bytes = Math.Min(MaxSpan, entry.Bytes - done);
            using var part = flat.narrow(0, done / element, bytes / element);
            var span = part.bytes;
            for (var filled = 0; filled < span.Length;)
                filled += RandomAccess.Read(handle, span[filled..], entry.Offset + done + filled);
            done += bytes;
        }
    }

    private static ScalarType TypeOf(string name, string dtype) => dtype switch
    {
        "F64" => ScalarType.Float64,
        "F32" => ScalarType.Float32,
        "F16" => ScalarType.Float16,
        "BF16" => ScalarType.BFloat16,
        "I64" => ScalarType.Int64,
        "I32" => ScalarType.Int32,
        "I16" => ScalarType.Int16,
        "I8" => ScalarType.Int8,
        "U8" => ScalarType.Byte,
        "BOOL" => ScalarType.Bool,
        "C64" => ScalarType.ComplexFloat32,
        _ => throw new FaultException(name, dtype, "TorchSharp has no such number type.", "Export the model as F32, BF16 or F16."),
    };

    private static (IReadOnlyDictionary<string, SafetensorsEntry>, IReadOnlyDictionary<string, string>) Sharded(string index)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(index))!;
        var faults = new FaultList();
        var entries = new Dictionary<string, SafetensorsEntry>();
        foreach (var shard in WeightMap(index).GroupBy(entry => entry.Value, entry => entry.Key))
        {
            if (Path.GetFileName(shard.Key) != shard.Key || !File.Exists(Path.Combine(folder, shard.Key)))
            {
                faults.Add(index, shard.Key, "The index names a file that is not in its folder.", "Fetch all shards into one folder.");
                continue;
            }
            var stored = SafetensorsHeader.Read(Path.Combine(folder, shard.Key)).Entries;
            foreach (var name in shard)
                if (stored.TryGetValue(name, out var entry))
                    entries.Add(name, entry);
                else
                    faults.Add($"{index}#{name}", shard.Key, "The shard lacks the tensor that the index places in it.", "Fetch index and shards from the same revision.");
            foreach (var name in stored.Keys.Except(shard))
                faults.Add($"{index}#{name}", shard.Key, "The shard has a tensor that the index does not place in it.", "Fetch index and shards from the same revision.");
        }
        faults.ThrowIfAny();
        return (entries, new Dictionary<string, string>());
    }

    private static Dictionary<string, string> WeightMap(string index)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(index), new JsonDocumentOptions { AllowDuplicateProperties = false });
            return document.RootElement.GetProperty("weight_map").Deserialize<Dictionary<string, string>>() is { } map && map.Values.All(shard => shard is not null)
                ? map
                : throw new JsonException("weight_map holds null");
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FaultException(index, null, $"The index cannot be read: {error.Message}", "Fetch it again.");
        }
    }
}
