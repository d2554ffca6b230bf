using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Checkpoints;

public sealed class SafetensorsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("safetensors-").FullName;

    public static TheoryData<string, string, string?> HeaderCases
    {
        get
        {
            using var cases = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Fixtures", "safetensors", "header_cases.json")));
            return [.. cases.RootElement.EnumerateArray().Select(test => (test.GetProperty("name").GetString()!, test.GetProperty("base64").GetString()!, test.GetProperty("expected_error").GetString()))];
        }
    }

    private string FilePath => Path.Combine(_folder, "model.safetensors");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(HeaderCases))]
    public void The_header_gets_the_verdict_of_the_reference(string name, string base64, string? expected)
    {
        File.WriteAllBytes(FilePath, Convert.FromBase64String(base64));

        var fault = Record.Exception(() => SafetensorsHeader.Read(FilePath));

        if (expected is null)
            Assert.Null(fault);
        else
            Assert.True(Assert.IsType<FaultException>(fault).Faults[0].Message.StartsWith(expected + ":", StringComparison.Ordinal), $"{name}: {fault.Message}");
    }

    public static TheoryData<ScalarType> Types =>
    [
        ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64, ScalarType.Int32, ScalarType.Int16,
        ScalarType.Int8, ScalarType.Byte, ScalarType.Bool,
    ];

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_type_and_shape_comes_back_bit_for_bit(ScalarType type)
    {
        using var scope = NewDisposeScope();
        (string, Tensor)[] tensors =
        [
            ("matrix", randint(0, 2, [3, 5]).to(type)),
            ("scalar", ones([]).to(type)),
            ("empty", zeros([0, 4]).to(type)),
            ("transposed", randint(0, 2, [7, 3]).to(type).t()),
        ];
        SafetensorsWriter.Write(FilePath, tensors);

        using var reader = SafetensorsReader.Open(_folder);
        foreach (var (name, tensor) in tensors)
        {
            var read = reader.Read(name);
            Assert.Equal((tensor.dtype, string.Join(",", tensor.shape)), (read.dtype, string.Join(",", read.shape)));
            Assert.Equal(tensor.contiguous().bytes.ToArray(), read.contiguous().bytes.ToArray());
        }
        Assert.Equal("pt", reader.Metadata["format"]);
    }

    [Fact]
    public void Reading_converts_into_the_type_of_the_destination()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(FilePath, [("w", tensor(new float[] { 1, 2.5f, -3 }).to(ScalarType.BFloat16))]);
        var destination = zeros(3);
        using var reader = SafetensorsReader.Open(FilePath);
        reader.CopyTo("w", destination);

        Assert.Equal([1, 2.5f, -3], destination.data<float>().ToArray());
    }

    [Fact]
    public void An_unaligned_tensor_is_read_as_well()
    {
        const string Header = """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}""";
        File.WriteAllBytes(FilePath, [.. BitConverter.GetBytes((ulong)Header.Length), .. System.Text.Encoding.ASCII.GetBytes(Header), 7, .. BitConverter.GetBytes(1.5f), .. BitConverter.GetBytes(-2f)]);
        using var scope = NewDisposeScope();
        using var reader = SafetensorsReader.Open(FilePath);

        Assert.Equal([1.5f, -2f], reader.Read("b").data<float>().ToArray());
    }

    [Fact]
    public void A_link_is_read_to_the_end_of_its_file()
    {
        SafetensorsWriter.Write(FilePath, [("a", arange(100))]);
        var link = Path.Combine(_folder, "link.safetensors");
        File.CreateSymbolicLink(link, Path.GetFileName(FilePath));
        using var scope = NewDisposeScope();
        using var reader = SafetensorsReader.Open(link);

        Assert.Equal(99, reader.Read("a")[99].item<long>());
    }

    [Fact]
    public void Overwriting_a_file_leaves_its_readers_whole()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(FilePath, [("w", arange(100_000, dtype: ScalarType.Float32))]);
        using var reader = SafetensorsReader.Open(FilePath);
        var mapped = reader.Read("w");
        SafetensorsWriter.Write(FilePath, [("w", zeros(3))]);

        Assert.Equal(99_999f * 50_000, mapped.sum().item<float>(), 1e6f);
    }

    [Fact]
    public void Shards_are_one_model()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(Path.Combine(_folder, "model-00001-of-00002.safetensors"), [("a", ones(2))]);
        SafetensorsWriter.Write(Path.Combine(_folder, "model-00002-of-00002.safetensors"), [("b", zeros(3))]);
        WriteIndex("""{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}""");
        using var reader = SafetensorsReader.Open(_folder);

        Assert.Equal(["a", "b"], reader.Entries.Keys.Order());
        Assert.Equal(2, reader.Read("a").sum().item<float>());
    }

    [Theory]
    [InlineData("""{"a":"../elsewhere.safetensors"}""", "not in its folder")]
    [InlineData("""{"a":"missing.safetensors"}""", "not in its folder")]
    [InlineData("""{"b":"one.safetensors","a":"one.safetensors"}""", "lacks the tensor")]
    [InlineData("""{}""", null)]
    [InlineData("""["a"]""", "cannot be read")]
    public void A_wrong_index_is_refused(string weightMap, string? message)
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(Path.Combine(_folder, "one.safetensors"), [("a", ones(2))]);
        WriteIndex(weightMap);

        var fault = Record.Exception(() => SafetensorsReader.Open(_folder));

        if (message is null)
            Assert.Null(fault);
        else
            Assert.Contains(message, Assert.IsType<FaultException>(fault).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_type_that_TorchSharp_lacks_is_refused_by_the_tensors_name()
    {
        const string Header = """{"w8":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}""";
        File.WriteAllBytes(FilePath, [.. BitConverter.GetBytes((ulong)Header.Length), .. System.Text.Encoding.ASCII.GetBytes(Header), 7]);
        using var reader = SafetensorsReader.Open(FilePath);

        Assert.Equal("w8", Assert.Throws<FaultException>(() => reader.Read("w8")).Faults[0].Pointer);
    }

    private void WriteIndex(string weightMap) => File.WriteAllText(Path.Combine(_folder, "model.safetensors.index.json"), $$"""{"metadata":{"total_size":1},"weight_map":{{weightMap}}}""");
}
