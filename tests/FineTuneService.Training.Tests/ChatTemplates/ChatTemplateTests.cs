using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates;
using FineTuneService.Training.Tests.Tokenization;

namespace FineTuneService.Training.Tests.ChatTemplates;

public sealed class ChatTemplateTests
{
    private static readonly ChatRequest Empty = new(JsonDocument.Parse("[]").RootElement);

    [Fact]
    public void A_folder_without_a_template_has_none()
    {
        Assert.Null(ChatTemplate.Load(GoldenTokenizers.Write()));
        Assert.Null(ChatTemplate.Load(GoldenTokenizers.Write(("tokenizer_config.json", """{ "bos_token": "<s>" }"""))));
        Assert.Null(ChatTemplate.Load(GoldenTokenizers.Write(("tokenizer_config.json", """{ "chat_template": null }"""))));
    }

    [Fact]
    public void The_jinja_file_wins_over_the_configuration_and_that_over_the_processors_file()
    {
        (string, string) jinja = ("chat_template.jinja", "jinja\n"), config = ("tokenizer_config.json", """{ "chat_template": "config" }"""), processor = ("chat_template.json", """{ "chat_template": "processor" }""");

        Assert.Equal("jinja", ChatTemplate.Load(GoldenTokenizers.Write(jinja, config, processor))!.Render(Empty).Text);
        Assert.Equal("config", ChatTemplate.Load(GoldenTokenizers.Write(config, processor))!.Render(Empty).Text);
        Assert.Equal("processor", ChatTemplate.Load(GoldenTokenizers.Write(processor))!.Render(Empty).Text);
    }

    [Fact]
    public void Named_templates_are_chosen_as_transformers_does()
    {
        var template = ChatTemplate.Load(GoldenTokenizers.Write(("tokenizer_config.json", """
            { "chat_template": [{ "name": "rag", "template": "{{ documents|length }}" }, { "name": "default", "template": "plain" }, { "name": "tool_use", "template": "tools {{ tools|length }}{{ eos_token }}" }],
              "eos_token": "</s>" }
            """)))!;
        var tools = JsonDocument.Parse("[{}]").RootElement;

        Assert.Equal("plain", template.Render(Empty).Text);
        Assert.Equal("tools 1</s>", template.Render(Empty with { Tools = tools }).Text);
        Assert.Equal("1", template.Variants["rag"].Render(Empty with { Documents = tools }).Text);
    }

    [Fact]
    public void Additional_templates_lie_in_a_folder_of_their_own()
    {
        var folder = GoldenTokenizers.Write(("chat_template.jinja", "plain"));
        Directory.CreateDirectory(Path.Combine(folder, "additional_chat_templates"));
        File.WriteAllText(Path.Combine(folder, "additional_chat_templates", "tool_use.jinja"), "tools");

        Assert.Equal("tools", ChatTemplate.Load(folder)!.Render(Empty with { Tools = JsonDocument.Parse("[]").RootElement }).Text);
    }

    [Fact]
    public void Special_tokens_are_variables_whether_strings_or_objects()
    {
        var template = ChatTemplate.Load(GoldenTokenizers.Write(
            ("chat_template.jinja", "{{ bos_token }}{{ eos_token }}{{ image_token }}{{ pad_token is defined }}{{ add_bos_token is defined }}{{ unk_token }}{{ additional_special_tokens }}"),
            ("tokenizer_config.json", """{ "bos_token": { "content": "<s>", "lstrip": false }, "eos_token": "</s>", "image_token": "<image>", "pad_token": null, "add_bos_token": true, "additional_special_tokens": ["<a>", { "content": "<b>" }] }"""),
            ("special_tokens_map.json", """{ "unk_token": { "content": "<unk>" }, "eos_token": "<other>" }""")))!;

        Assert.Equal("<s></s><image>FalseFalse<unk>['<a>', '<b>']", template.Render(Empty).Text);
        Assert.StartsWith("<mine></s>", template.Render(Empty with { Variables = new Dictionary<string, JsonElement> { ["bos_token"] = JsonSerializer.SerializeToElement("<mine>") } }).Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "chat_template": 5 }""", "#/chat_template")]
    [InlineData("""{ "chat_template": [{ "name": "default" }] }""", "#/chat_template/0")]
    [InlineData("""{ "chat_template": [{ "name": "a", "template": "" }, { "name": "a", "template": "" }] }""", "#/chat_template/1")]
    [InlineData("""{ "chat_template": "line\n{{ x" }""", "#/chat_template:2:1")]
    [InlineData("{", ":1")]
    public void A_damaged_file_names_its_place(string config, string place)
    {
        var folder = GoldenTokenizers.Write(("tokenizer_config.json", config));

        Assert.Equal(Path.Combine(folder, "tokenizer_config.json") + place, Fault(() => ChatTemplate.Load(folder)).Pointer);
    }

    [Theory]
    [InlineData("a\n  {% fro x in y %}", "t:2:6", "Encountered unknown tag 'fro'.")]
    [InlineData("a\r\n\r\n{{ x | nope }}", "t:3:8", "No filter named 'nope'")]
    [InlineData("{{ x is nope }}", "t:1:9", "No test named 'nope'")]
    [InlineData("{% if x %}", "t:1:11", "Unexpected end of template. Looking for 'elif' or 'else' or 'endif'")]
    [InlineData("{{ 'x }}", "t:1:4", "The string is not closed")]
    [InlineData("{{ x ? y }}", "t:1:6", "unexpected char '?'")]
    [InlineData("{% include 'x' %}", "t:1:4", "'include' has no place in a chat template")]
    public void A_syntax_error_names_line_and_column(string source, string pointer, string message)
    {
        var fault = Fault(() => ChatTemplate.Parse(source, "t"));

        Assert.Equal((pointer, message), (fault.Pointer, fault.Message));
        Assert.NotEmpty(fault.Remedy);
    }

    [Theory]
    [InlineData("a\n{{ 'x' + 1 }}", "t:2:8", "can only concatenate str (not \"int\") to str")]
    [InlineData("{% macro f(a) %}\n{{ a.b.c }}{% endmacro %}\n\n{{ f({}) }}", "t:2:7", "'dict object' has no attribute 'b'")]
    [InlineData("\n{% for m in none %}{% endfor %}", "t:2:4", "'NoneType' object is not iterable")]
    [InlineData("\n\n{{ raise_exception('Roles must alternate: ' ~ 1) }}", "t:3:19", "Roles must alternate: 1")]
    public void A_failure_names_line_and_column(string source, string pointer, string message)
    {
        var fault = Fault(() => ChatTemplate.Parse(source, "t").Render(Empty));

        Assert.Equal((pointer, message), (fault.Pointer, fault.Message));
    }

    [Theory]
    [InlineData("""{ "role": "user" }""")]
    [InlineData("""["Hi"]""")]
    [InlineData("""[{ "role": "user", "content": "\ud83d" }]""")]
    [InlineData("[{ \"n\": DIGITS }]")]
    public void Messages_that_are_none_are_refused(string messages) =>
        Assert.Equal("/messages", Fault(() => ChatTemplate.Parse("", "t").Render(new(JsonDocument.Parse(messages.Replace("DIGITS", new string('9', 5000), StringComparison.Ordinal)).RootElement))).Pointer);

    [Fact]
    public void Numbers_and_keys_are_those_of_the_file()
    {
        var messages = JsonDocument.Parse("""[{ "b": 1.0, "a": 12345678901234567890, "c": 1e3, "d": -0.0, "b": 2.50, "e": 1E-7 }]""").RootElement;

        Assert.Equal("""{"b": 2.5, "a": 12345678901234567890, "c": 1000.0, "d": -0.0, "e": 1e-07}""", ChatTemplate.Parse("{{ messages[0]|tojson }}", "t").Render(new(messages)).Text);
    }

    [Fact]
    public async Task One_template_serves_many_threads()
    {
        var golden = GoldenTemplates.Read("trl__qwen3");
        var one = golden.Cases.First(one => one.TryGetProperty("expected", out _));
        var texts = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Enumerable.Range(0, 50).Select(_ => golden.Template.Render(golden.Request(one)).Text).Distinct().Single())));

        Assert.Equal(one.GetProperty("expected").GetString(), texts.Distinct().Single());
    }

    private static Fault Fault(Action action) => Assert.Single(Assert.Throws<FaultException>(action).Faults);
}
