using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace FineTuneService.Api.Tests;

/// <summary>Against the real <c>finetune generate</c> with a Llama of random weights; where a process must misbehave, against Fixtures/predictor.sh.</summary>
[Collection(PredictionsTests.WarmModels)]
public sealed class OpenAiCompletionsTests(Api api)
{
    private const string Conversation = """ "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "max_tokens": 12, "temperature": 0 """;

    [Fact]
    public async Task A_conversation_is_answered_by_a_jobs_result_and_by_its_checkpoints()
    {
        var (_, model) = await EndedJob.Put(api);

        var answer = await Chat(model, Conversation);
        var checkpoint = await Chat($"{model}:ckpt-step-1", Conversation);

        Assert.Equal(["choices", "created", "id", "model", "object", "usage"], answer.Select(member => member.Key).Order());
        Assert.Equal(("chat.completion", model), ((string?)answer["object"], (string?)answer["model"]));
        var choice = Assert.Single(answer["choices"]!.AsArray())!;
        Assert.Equal(["finish_reason", "index", "logprobs", "message"], choice.AsObject().Select(member => member.Key).Order());
        Assert.Equal(("assistant", null, "length"), ((string?)choice["message"]!["role"], choice["message"]!["refusal"], (string?)choice["finish_reason"]));
        Assert.Equal(12, (int)answer["usage"]!["completion_tokens"]!);
        Assert.Equal((int)answer["usage"]!["total_tokens"]!, (int)answer["usage"]!["prompt_tokens"]! + 12);
        Assert.Equal((string?)choice["message"]!["content"], (string?)checkpoint["choices"]![0]!["message"]!["content"]); // Both have the same weights.
    }

    [Fact]
    public async Task A_stream_is_the_answer_in_pieces_and_ends_with_DONE()
    {
        var (_, model) = await EndedJob.Put(api);
        var whole = await Chat(model, Conversation);

        var parts = await Stream("/v1/chat/completions", $$"""{"model": "{{model}}", "stream": true, "stream_options": {"include_usage": true}, {{Conversation}} }""");

        Assert.Equal("data: [DONE]", parts[^1]);
        var chunks = parts[..^1].Select(part => JsonNode.Parse(part["data: ".Length..])!).ToList();
        Assert.All(chunks, chunk => Assert.Equal("chat.completion.chunk", (string?)chunk["object"]));
        Assert.Single(chunks.Select(chunk => (string?)chunk["id"]).Distinct());
        Assert.Equal("assistant", (string?)chunks[0]["choices"]![0]!["delta"]!["role"]);
        Assert.Equal((string?)whole["choices"]![0]!["message"]!["content"], string.Concat(chunks[..^2].Select(chunk => (string?)chunk["choices"]![0]!["delta"]!["content"])));
        Assert.All(chunks[..^2], chunk => Assert.Null(chunk["choices"]![0]!["finish_reason"]));
        Assert.Equal(("{}", "length"), (chunks[^2]["choices"]![0]!["delta"]!.ToJsonString(), (string?)chunks[^2]["choices"]![0]!["finish_reason"]));
        Assert.Equal(("[]", whole["usage"]!.ToJsonString()), (chunks[^1]["choices"]!.ToJsonString(), chunks[^1]["usage"]!.ToJsonString()));
    }

    [Fact]
    public async Task Texts_are_continued_by_a_base_model_too()
    {
        const string Body = """{"model": "tiny-llama", "prompt": ["once upon", "a king"], "max_tokens": 5, "seed": 3, "temperature": 1.2 }""";

        var answer = await api.Post("/v1/completions", Body, HttpStatusCode.OK);
        var parts = await Stream("/v1/completions", Body.Replace("5,", "5, \"stream\": true,", StringComparison.Ordinal));

        Assert.Equal("text_completion", (string?)answer["object"]);
        Assert.Equal([0, 1], answer["choices"]!.AsArray().Select(choice => (int)choice!["index"]!));
        Assert.Equal("data: [DONE]", parts[^1]);
        var chunks = parts[..^1].Select(part => JsonNode.Parse(part["data: ".Length..])!["choices"]![0]!).ToLookup(choice => (int)choice["index"]!);
        foreach (var choice in answer["choices"]!.AsArray())
            Assert.Equal((string?)choice!["text"], string.Concat(chunks[(int)choice["index"]!].Select(chunk => (string?)chunk["text"])));
    }

    [Fact]
    public async Task Models_are_listed_found_by_name_and_deleted()
    {
        var (id, model) = await EndedJob.Put(api);
        var (other, _) = await EndedJob.Put(api);

        var list = (await api.Get("/v1/models"))["data"]!.AsArray();
        var one = await api.Get($"/v1/models/{Uri.EscapeDataString(model)}");

        Assert.Contains(list, found => (string?)found!["id"] == "tiny-bert-en" && (string?)found["owned_by"] == "library");
        Assert.Contains(list, found => (string?)found!["id"] == model);
        Assert.Equal(["created", "id", "object", "owned_by"], one.Select(member => member.Key).Order());
        Assert.Equal((model, "model"), ((string?)one["id"], (string?)one["object"]));

        await Api.Read(await api.Http.DeleteAsync($"/v1/models/{model}:ckpt-step-1", Api.Cancel), HttpStatusCode.OK);
        await api.Get($"/v1/models/{model}");
        var deleted = await Api.Read(await api.Http.DeleteAsync($"/v1/models/{model}", Api.Cancel), HttpStatusCode.OK);
        Assert.Equal($$"""{"id":"{{model}}","object":"model","deleted":true}""", deleted.ToJsonString());
        await api.Get($"/v1/models/{model}", HttpStatusCode.NotFound);
        Assert.False(Directory.Exists(api.Storage.Run(id).Checkpoint(2)));
        Assert.True(Directory.Exists(api.Storage.Run(other).Checkpoint(2)));
        await Api.Read(await api.Http.DeleteAsync("/v1/models/tiny-bert-en", Api.Cancel), HttpStatusCode.Forbidden);
    }

    [Theory]
    [InlineData(""" "n": 2, """, "n")]
    [InlineData(""" "logprobs": true, """, "logprobs")]
    [InlineData(""" "response_format": {"type": "json_object"}, """, "response_format")]
    [InlineData(""" "response_format": {"type": 1}, """, "response_format")]
    [InlineData(""" "frequency_penalty": 1, """, "frequency_penalty")]
    [InlineData(""" "tool_choice": "required", """, "tool_choice")]
    [InlineData(""" "stop": ["1", "2", "3", "4", "5"], """, "stop")]
    public async Task What_is_not_done_here_is_refused_and_not_left(string extra, string param) =>
        Assert.Equal(param, (string?)(await api.Post("/v1/chat/completions", $$"""{"model": "tiny-bert-en", {{extra}} {{Conversation}} }""", HttpStatusCode.BadRequest))["param"]);

    [Fact]
    public async Task What_changes_nothing_is_taken()
    {
        var (_, model) = await EndedJob.Put(api);

        await Chat(model, """ "n": 1, "user": "me", "store": false, "metadata": {"a": "b"}, "stop": null, "top_p": 1, "parallel_tool_calls": true, "response_format": {"type": "text"}, """ + Conversation);
    }

    [Fact]
    public async Task A_model_that_does_not_generate_is_told_before_a_stream_begins()
    {
        var error = await api.Post("/v1/chat/completions", $$"""{"model": "tiny-bert-en", "stream": true, {{Conversation}} }""", HttpStatusCode.BadRequest);

        Assert.Equal("model", (string?)error["param"]);
        Assert.DoesNotContain(api.Data, error.ToJsonString());
    }

    [Fact]
    public async Task A_stream_that_breaks_off_ends_with_an_error()
    {
        var (id, model) = await EndedJob.Put(api);
        File.Delete(Path.Combine(api.Storage.Run(id).Checkpoint(2), "model.safetensors"));

        var parts = await Stream("/v1/completions", $$"""{"model": "{{model}}", "prompt": "die midway", "stream": true }""");

        Assert.Equal(2, parts.Length);
        Assert.Equal("server_error", (string?)JsonNode.Parse(parts[1]["data: ".Length..])!["error"]!["type"]);
    }

    [Theory]
    [InlineData("call as Hermes", "I look.", """{"city": "Bonn"}""", "{}")]
    [InlineData("call as Llama", null, """{"city": "Bonn"}""")]
    public async Task What_the_model_calls_is_read_of_what_it_writes(string says, string? content, params string[] arguments)
    {
        const string Tools = """ "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"} } }] """;
        var (id, model) = await EndedJob.Put(api);
        File.Delete(Path.Combine(api.Storage.Run(id).Checkpoint(2), "model.safetensors"));
        var asked = $$""" "messages": [{"role": "user", "content": "{{says}}"}], {{Tools}} """;

        var choice = (await Chat(model, asked))["choices"]![0]!;
        var chunks = (await Stream("/v1/chat/completions", $$"""{"model": "{{model}}", "stream": true, {{asked}} }"""))[..^1].Select(part => JsonNode.Parse(part["data: ".Length..])!["choices"]![0]!).ToList();
        var silent = (await Chat(model, $"{asked}, \"tool_choice\": \"none\""))["choices"]![0]!;

        Assert.Equal(("tool_calls", content), ((string?)choice["finish_reason"], (string?)choice["message"]!["content"]));
        var calls = choice["message"]!["tool_calls"]!.AsArray();
        Assert.Equal(arguments, calls.Select(call => (string)call!["function"]!["arguments"]!));
        Assert.All(calls, call => Assert.Equal(("function", "weather", null), ((string?)call!["type"], (string?)call["function"]!["name"], call["index"])));
        Assert.Equal(arguments.Length, calls.Select(call => (string?)call!["id"]).Distinct().Count());

        Assert.Equal(("assistant", "tool_calls"), ((string?)chunks[0]["delta"]!["role"], (string?)chunks[^1]["finish_reason"]));
        Assert.Equal(content ?? "", string.Concat(chunks.Select(chunk => (string?)chunk["delta"]!["content"])));
        var streamed = chunks.SelectMany(chunk => chunk["delta"]!["tool_calls"]?.AsArray() ?? []).ToList();
        Assert.Equal(arguments.Index().Select(call => (call.Index, call.Item)), streamed.Select(call => ((int)call!["index"]!, (string)call["function"]!["arguments"]!)));

        Assert.Equal("stop", (string?)silent["finish_reason"]);
        Assert.Contains("weather", (string?)silent["message"]!["content"]);
        Assert.Null(silent["message"]!["tool_calls"]);
    }

    private Task<JsonObject> Chat(string model, string rest) => api.Post("/v1/chat/completions", $$"""{"model": "{{model}}", {{rest}} }""", HttpStatusCode.OK);

    private async Task<string[]> Stream(string path, string body)
    {
        using var response = await api.Http.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"), Api.Cancel);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        return (await response.Content.ReadAsStringAsync(Api.Cancel)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
    }
}
