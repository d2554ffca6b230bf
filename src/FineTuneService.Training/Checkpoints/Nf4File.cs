using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Checkpoints;

/// <summary>bitsandbytes' layout of a 4-bit weight in a safetensors file; docs/nf4.md has it in full.</summary>
public static class Nf4File
{
    private const string State = ".quant_state.bitsandbytes__nf4";

    /// <summary>What a weight in a file is packed as: <c>[out, in]</c>; null when it is not.</summary>
    public static long[]? ShapeOf(SafetensorsReader reader, string key) =>
        reader.Entries.ContainsKey(key + State) ? StateOf(reader, key)["shape"]!.AsArray().Select(size => size!.GetValue<long>()).ToArray() : null;

    /// <summary>The tensors that belong to a weight, itself among them.</summary>
    public static IEnumerable<string> Parts(SafetensorsReader reader, string key) => reader.Entries.Keys.Where(name => name == key || name.StartsWith(key + ".", StringComparison.Ordinal));

    /// <exception cref="FaultException">When blocks or codes are others than ours.</exception>
    public static Nf4Matrix Read(SafetensorsReader reader, string key)
    {
        var state = StateOf(reader, key);
        var isNested = reader.Entries.ContainsKey(key + ".nested_absmax");
        var faults = new FaultList();
        Require("blocksize", Nf4Matrix.BlockSize);
        if (isNested)
            Require("nested_blocksize", Nf4Matrix.NestedBlockSize);
        faults.ThrowIfAny();
        using var scope = NewDisposeScope();
        return new(
            ShapeOf(reader, key)!,
            reader.Read(key).view(-1).clone(),
            reader.Read(key + ".absmax").clone(),
            isNested ? reader.Read(key + ".nested_absmax").clone() : null,
            isNested ? state["nested_offset"]!.GetValue<float>() : 0);

        void Require(string field, int known)
        {
            var value = state[field]?.GetValue<int>();
            faults.Require(value == known, key + State, value, $"Only a {field} of {known} is known here.", "Quantise the model again with bitsandbytes' defaults, or give the unquantised model.");
        }
    }

    /// <summary>What a file holds for a weight.</summary>
    public static IEnumerable<(string Name, Tensor Tensor)> Tensors(string key, Nf4Matrix matrix)
    {
        Tensor[] stored = [.. matrix.Stored];
        yield return (key, stored[0].unsqueeze(1));
        yield return (key + ".absmax", stored[1]);
        yield return (key + ".quant_map", tensor(Nf4Codes.NormalFloat));
        var state = new JsonObject { ["quant_type"] = "nf4", ["blocksize"] = Nf4Matrix.BlockSize, ["dtype"] = "float32", ["shape"] = new JsonArray([.. matrix.Shape.Select(size => (JsonNode)size)]) };
        if (matrix.IsNested)
        {
            yield return (key + ".nested_absmax", stored[2]);
            yield return (key + ".nested_quant_map", tensor(Nf4Codes.Dynamic));
            (state["nested_blocksize"], state["nested_dtype"], state["nested_offset"]) = (Nf4Matrix.NestedBlockSize, "float32", (double)matrix.NestedOffset);
        }
        yield return (key + State, tensor(JsonSerializer.SerializeToUtf8Bytes(state)));
    }

    private static JsonObject StateOf(SafetensorsReader reader, string key) => JsonNode.Parse(reader.Read(key + State).bytes.ToArray())!.AsObject();
}
