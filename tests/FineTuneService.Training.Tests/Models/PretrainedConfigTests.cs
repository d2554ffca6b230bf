using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Tests.Models;

/// <summary>What fuzzing has found in config.json.</summary>
public sealed class PretrainedConfigTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("config-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("architectures", "[1]")]
    [InlineData("architectures", "[[]]")]
    [InlineData("architectures", """["\ud800"]""")]
    [InlineData("dtype", "\"\\ud800\"")]
    [InlineData("id2label", """{"1": "a", "2": "b"}""")]
    [InlineData("id2label", """{"0": null}""")]
    [InlineData("id2label", """{"a": "0"}""")]
    [InlineData("num_hidden_layers", "1025")]
    public void What_is_no_value_of_a_field_is_a_fault(string field, string value)
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", "bert-seqcls", "config.json")))!.AsObject();
        config.Remove(field);
        File.WriteAllText(Path.Combine(_folder, "config.json"), $"{{\"{field}\": {value}, {config.ToJsonString()[1..]}");

        Assert.Contains("config.json", Assert.Throws<FaultException>(() => PretrainedConfig.Read(_folder)).Faults[0].Pointer);
    }
}
