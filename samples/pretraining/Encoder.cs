// The encoder alone, without the classes on which it was trained last: `dotnet run Encoder.cs -- CHECKPOINT model.safetensors`.
using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

if (args is not [var checkpoint, var output])
{
    Console.Error.WriteLine("usage: dotnet run Encoder.cs -- CHECKPOINT OUT");
    return 2;
}

// The length of a header in JSON, the header, the numbers to which it points.
var file = File.ReadAllBytes(Path.Combine(checkpoint, "model.safetensors"));
var data = 8 + (int)BinaryPrimitives.ReadInt64LittleEndian(file);
var header = JsonNode.Parse(file.AsSpan(8, data - 8))!.AsObject();
using var kept = new MemoryStream();
foreach (var (name, tensor) in header.ToArray())
    if (name.StartsWith("classifier.", StringComparison.Ordinal))
        header.Remove(name);
    else if (tensor!["data_offsets"]?.AsArray() is [var begin, var end])
    {
        var start = kept.Length;
        kept.Write(file.AsSpan((data + (int)begin!)..(data + (int)end!)));
        tensor["data_offsets"] = new JsonArray(start, kept.Length);
    }

var text = Encoding.UTF8.GetBytes(header.ToJsonString());
Array.Resize(ref text, (text.Length + 7) / 8 * 8);
text.AsSpan().Replace((byte)0, (byte)' ');
var length = new byte[8];
BinaryPrimitives.WriteInt64LittleEndian(length, text.Length);
File.WriteAllBytes(output, [.. length, .. text, .. kept.ToArray()]);
return 0;
