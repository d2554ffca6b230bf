using System.Text.Json;
using FineTuneService.Api.OpenAi;

namespace FineTuneService.Api.Tests;

/// <summary>However the text is cut into pieces, the same is read of it.</summary>
public sealed class ToolCallReaderTests
{
    private const string Weather = """{"name": "weather", "arguments": {"city": "Bonn"}}""";

    [Theory]
    [InlineData("Hello.", "Hello.")]
    [InlineData(" a < b, <tool is no call ", " a < b, <tool is no call ")]
    [InlineData($"<tool_call>\n{Weather}\n</tool_call>", "", "weather")]
    [InlineData($"<think>\nso\n</think>\n\n<tool_call>{Weather}</tool_call>\n<tool_call>{Weather}</tool_call>\n", "<think>\nso\n</think>", "weather", "weather")]
    [InlineData($"<tool_call>{Weather}", "", "weather")]
    [InlineData($"<tool_call>{Weather}</tool_call> and more", " and more", "weather")]
    [InlineData("<tool_call>{\"name\": \"weather\", \"arguments\": {\"ci", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"ci")]
    [InlineData("<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>", "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>")]
    [InlineData("<tool_call>{\"name\": \"weather\", \"arguments\": 3}</tool_call>", "<tool_call>{\"name\": \"weather\", \"arguments\": 3}</tool_call>")]
    [InlineData("\n{\"name\": \"weather\", \"parameters\": {}}", "", "weather")]
    [InlineData("<|python_tag|>{\"name\": \"weather\", \"parameters\": {}}\n{\"name\": \"time\"}", "", "weather", "time")]
    [InlineData("{\"name\": \"Ann\", \"age\": 3}", "{\"name\": \"Ann\", \"age\": 3}")]
    [InlineData("{\"name\": \"\\ud800\"}", "{\"name\": \"\\ud800\"}")]
    [InlineData("{ is a brace", "{ is a brace")]
    [InlineData("  ", "  ")]
    public void Calls_and_text_are_told_apart(string answer, string text, params string[] calls)
    {
        foreach (var pieces in new string[][] { [answer], [.. answer.Select(one => one.ToString())] })
        {
            var read = Read(pieces);
            Assert.Equal(text, read.Text);
            Assert.Equal(calls, read.Calls);
        }
    }

    [Theory]
    [InlineData("""{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{\"a\": 1}"} }]}""", """{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a":1}}}]}""")]
    [InlineData("""{"tool_calls":[{"function":{"arguments":"[1"}},{"function":{"arguments":"\\ud800"}},3,{"function":null}]}""", """{"tool_calls":[{"function":{"arguments":"[1"}},{"function":{"arguments":"\\ud800"}},3,{"function":null}]}""")]
    [InlineData("""{"tool_calls": [], "tool_calls": [{}]}""", """{"tool_calls": [], "tool_calls": [{}]}""")]
    [InlineData("[3]", "[3]")]
    public void Arguments_that_come_back_are_objects_to_the_template(string message, string plain) =>
        Assert.Equal(plain, ToolCall.WithPlainArguments(JsonDocument.Parse(message).RootElement).GetRawText());

    private static (string Text, string[] Calls) Read(string[] pieces)
    {
        var reader = ToolCallReader.For([.. new[] { "weather", "time" }.Select(name => JsonSerializer.SerializeToElement(new { type = "function", function = new { name } }))]);
        var read = pieces.Index().Select(piece => reader.Read(piece.Item, isLast: piece.Index == pieces.Length - 1)).ToList();
        Assert.Equal(read.Any(one => one.Calls.Count > 0), reader.HasCalls);
        return (string.Concat(read.Select(one => one.Text)), [.. read.SelectMany(one => one.Calls).Select(call => call.Function.Name)]);
    }
}
