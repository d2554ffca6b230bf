using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Checkpoints;

/// <summary>Writes safetensors files byte for byte as the reference writer lays them out: by type, widest first, then by name.</summary>
public static class SafetensorsWriter
{
    private const int Alignment = 8;

    // Rank in the reference's Dtype enum: later variants come first in the file.
    private static readonly ScalarType[] ByRank =
    [
        ScalarType.Bool, ScalarType.Byte, ScalarType.Int8, ScalarType.Int16, ScalarType.Float16, ScalarType.BFloat16,
        ScalarType.Int32, ScalarType.Float32, ScalarType.ComplexFloat32, ScalarType.Float64, ScalarType.Int64,
    ];

    private static readonly string[] Names = ["BOOL", "U8", "I8", "I16", "F16", "BF16", "I32", "F32", "C64", "F64", "I64"];

    /// <summary>Published by renaming, so a mapped file of the same name stays whole for its readers.</summary>
    /// <param name="metadata">Beside <c>format: pt</c>, which transformers insists on.</param>
    /// <param name="floats">Type to which numbers with fractions are converted; null: they stay as they are.</param>
    public static void Write(string path, IEnumerable<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null, ScalarType? floats = null)
    {
        var ordered = tensors.Select(entry => (entry.Name, entry.Tensor, Type: entry.Tensor.is_floating_point() ? floats ?? entry.Tensor.dtype : entry.Tensor.dtype))
            .OrderByDescending(entry => Rank(entry.Type)).ThenBy(entry => entry.Name, StringComparer.Ordinal).ToList();
        var draft = path + ".draft";
        using (var file = new FileStream(draft, FileMode.Create, FileAccess.Write))
        {
            WriteHeader(file, ordered, metadata);
            foreach (var (_, tensor, type) in ordered)
                WriteData(file, tensor, type);
            file.Flush(flushToDisk: true);
        }
        File.Move(draft, path, overwrite: true);
        Durable.Flush(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    private static void WriteHeader(FileStream file, List<(string Name, Tensor Tensor, ScalarType Type)> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var header = new JsonObject { ["__metadata__"] = Metadata(metadata) };
        long position = 0;
        foreach (var (name, tensor, type) in tensors)
        {
            var end = position + tensor.numel() * type.ElementSize();
            header.Add(name, new JsonObject
            {
                ["dtype"] = Names[Rank(type)],
                ["shape"] = new JsonArray([.. tensor.shape.Select(size => (JsonNode)size)]),
                ["data_offsets"] = new JsonArray(position, end),
            });
            position = end;
        }
        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        var padding = (Alignment - json.Length % Alignment) % Alignment;
        file.Write(BitConverter.GetBytes((ulong)(json.Length + padding)));
        file.Write(json);
        file.Write([.. Enumerable.Repeat((byte)' ', padding)]);
    }

    private static JsonObject Metadata(IReadOnlyDictionary<string, string>? given)
    {
        var metadata = new JsonObject { ["format"] = "pt" };
        foreach (var (key, value) in given ?? new Dictionary<string, string>())
            metadata[key] = value;
        return metadata;
    }

    private static void WriteData(FileStream file, Tensor tensor, ScalarType type)
    {
        const int MaxElements = 1 << 26; // A span holds at most 2 GiB.
        using var scope = NewDisposeScope();
        var flat = tensor.detach().cpu().contiguous().reshape(-1);
        for (long start = 0; start < flat.numel(); start += MaxElements)
            file.Write(flat.narrow(0, start, Math.Min(MaxElements, flat.numel() - start)).to(type).bytes);
    }

    private static int Rank(ScalarType type) =>
        Array.IndexOf(ByRank, type) is var rank and >= 0 ? rank : throw new NotSupportedException($"safetensors has no type for {type}.");
}
