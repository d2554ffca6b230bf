using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace FineTuneService.Api.Tests;

/// <summary>Against the real <c>finetune generate</c> with a Llama of random weights; where a process must misbehave, against Fixtures/predictor.sh.</summary>
[Collection(PredictionsTests.WarmModels)]
public sealed class GenerationsTests(Api api)
{
    private const string Drawn = """{"prompts": ["once upon", "a king"], "generation": {"max_new_tokens": 40, "temperature": 1.2, "seed": 5}}""";

    [Fact]
    public async Task The_same_seed_draws_the_same_texts()
    {
        var (id, folder) = await WithModel("tiny-llama");

        var first = await api.Post($"/jobs/{id}/generate", Drawn, HttpStatusCode.OK);
        var again = await api.Post($"/jobs/{id}/generate?checkpoint=7", Drawn, HttpStatusCode.OK);
        var other = await api.Post($"/jobs/{id}/generate", Drawn.Replace("\"seed\": 5", "\"seed\": 6", StringComparison.Ordinal), HttpStatusCode.OK);

        Assert.Equal(first.ToJsonString(), again.ToJsonString());
        Assert.NotEqual(first["texts"]!.ToJsonString(), other["texts"]!.ToJsonString());
        Assert.Equal(7, (int)first["step"]!);
        Assert.Equal(2, first["texts"]!.AsArray().Count);
        Assert.All(first["texts"]!.AsArray(), text =>
        {
            Assert.NotEmpty((string)text!["text"]!);
            Assert.Equal((string)text["finish_reason"]! == "length", (int)text["completion_tokens"]! == 40);
            Assert.InRange((int)text["prompt_tokens"]!, 1, 9);
        });
        Assert.Single(Starts(folder));
    }

    [Fact]
    public async Task The_pieces_of_a_stream_are_the_plain_answer()
    {
        var (id, _) = await WithModel("tiny-llama");
        var plain = await api.Post($"/jobs/{id}/generate", Drawn, HttpStatusCode.OK);

        using var response = await Stream(id, Drawn);
        var messages = await response.Content.ReadAsStringAsync(Api.Cancel);

        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var parts = messages.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("event: done\ndata: {\"step\":7}", parts[^1]);
        var pieces = parts[..^1].Select(part => JsonNode.Parse(part["data: ".Length..])!).ToLookup(piece => (int)piece["prompt"]!);
        Assert.True(pieces[0].Count() > 10);
        foreach (var (text, prompt) in plain["texts"]!.AsArray().Select((text, prompt) => (text!, prompt)))
        {
            Assert.Equal((string)text["text"]!, string.Concat(pieces[prompt].Select(piece => (string)piece["text"]!)));
            foreach (var name in new[] { "finish_reason", "prompt_tokens", "completion_tokens" })
                Assert.Equal(text[name]!.ToJsonString(), Assert.Single(pieces[prompt], piece => piece[name] is not null)[name]!.ToJsonString());
        }
    }

    [Fact]
    public async Task A_conversation_is_answered_as_the_text_that_its_template_writes()
    {
        var (id, _) = await WithModel("tiny-llama");
        const string Generation = """ "generation": {"max_new_tokens": 12, "do_sample": false} """;
        const string Conversation = $$"""{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}], {{Generation}} }""";

        var answered = await api.Post($"/jobs/{id}/generate", Conversation, HttpStatusCode.OK);
        var continued = await api.Post($"/jobs/{id}/generate", $$"""{"prompts": ["<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"], {{Generation}} }""", HttpStatusCode.OK);

        Assert.NotEmpty((string)answered["texts"]![0]!["text"]!);
        Assert.Equal(continued.ToJsonString(), answered.ToJsonString());
        using var response = await Stream(id, Conversation);
        var parts = (await response.Content.ReadAsStringAsync(Api.Cancel)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal((string)answered["texts"]![0]!["text"]!, string.Concat(parts[..^1].Select(part => (string)JsonNode.Parse(part["data: ".Length..])!["text"]!)));
        Assert.Equal("event: done\ndata: {\"step\":7}", parts[^1]);
    }

    [Fact]
    public async Task A_conversation_without_a_template_or_against_it_is_told_before_a_stream_begins()
    {
        const string Conversation = """{"messages": [{"role": "user", "content": "Hi"}]}""";
        var (bare, folder) = await WithModel("tiny-llama");
        File.Delete(Path.Combine(folder, "chat_template.jinja"));
        var (strict, other) = await WithModel("tiny-llama");
        File.WriteAllText(Path.Combine(other, "chat_template.jinja"), "{{ raise_exception('A system message comes first.') }}");

        Assert.Equal(["/messages"], Api.Pointers(await api.Post($"/jobs/{bare}/generate", Conversation, HttpStatusCode.UnprocessableEntity)));
        var refused = await Api.Read(await Stream(strict, Conversation), HttpStatusCode.UnprocessableEntity);
        Assert.Contains("A system message comes first.", (string)refused["faults"]![0]!["message"]!, StringComparison.Ordinal);
        Assert.DoesNotContain(api.Data, refused.ToJsonString(), StringComparison.Ordinal);
        await api.Post($"/jobs/{bare}/generate", """{"prompts": ["a"], "generation": {"max_new_tokens": 1}}""", HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_prompt_that_fills_the_model_is_told_before_a_stream_begins()
    {
        var (id, _) = await WithModel("tiny-llama");
        var body = $$"""{"prompts": ["fits", "{{string.Concat(Enumerable.Repeat("0 z ", 200))}}"]}""";

        Assert.Equal(["/prompts/1"], Api.Pointers(await api.Post($"/jobs/{id}/generate", body, HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["/prompts/1"], Api.Pointers(await Api.Read(await Stream(id, body), HttpStatusCode.UnprocessableEntity)));
    }

    [Fact]
    public async Task A_classifier_does_not_generate_and_a_language_model_does_not_classify()
    {
        var (classifier, folder) = await WithModel("llama-seqcls");
        var (language, _) = await WithModel("tiny-llama");
        foreach (var tokenizer in Directory.EnumerateFiles(Path.Combine(Api.Output, "models", "tiny-llama"), "tokenizer*"))
            File.Copy(tokenizer, Path.Combine(folder, Path.GetFileName(tokenizer)));

        var refused = await api.Post($"/jobs/{classifier}/generate", """{"prompts": ["a"]}""", HttpStatusCode.UnprocessableEntity);
        Assert.Equal(("?checkpoint", "LlamaForSequenceClassification"), ((string)refused["faults"]![0]!["pointer"]!, (string)refused["faults"]![0]!["value"]!));
        Assert.Equal(["?checkpoint"], Api.Pointers(await api.Post($"/jobs/{language}/predict", """{"texts": ["a"]}""", HttpStatusCode.UnprocessableEntity)));
    }

    [Theory]
    [InlineData("""{}""", "/prompts")]
    [InlineData("""{"prompts": ["a"], "messages": [{"role": "user", "content": "a"}]}""", "/messages")]
    [InlineData("""{"prompts": ["a"], "tools": [{}]}""", "/tools")]
    [InlineData("""{"messages": []}""", "/messages")]
    [InlineData("""{"messages": ["a", {"role": "user"}, {"content": "a"}, {"role": "user", "content": [{"type": "image_url"}]}]}""", "/messages/0", "/messages/1/content", "/messages/2/role", "/messages/3/content")]
    [InlineData("""{"messages": [{"role": "user", "content": "\ud800"}]}""", "/messages/0/content")]
    [InlineData("""{"prompts": []}""", "/prompts")]
    [InlineData("""{"prompts": ["a", 1]}""", "/prompts/1")]
    [InlineData("""{"prompts": [], "generation": {"top_p": 0, "temperature": 0, "max_tokens": 3}}""", "/prompts", "/generation/top_p", "/generation/temperature", "/generation/max_tokens")]
    [InlineData("""{"prompts": ["a"], "generation": {"stop_strings": ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"]}}""", "/generation/stop_strings")]
    public async Task Bodies_are_judged_whole_before_a_model_is_loaded(string body, params string[] pointers)
    {
        var (id, folder) = await api.PutCheckpoint();

        Assert.Equal(pointers, Api.Pointers(await api.Post($"/jobs/{id}/generate", body, HttpStatusCode.UnprocessableEntity)));

        Assert.False(File.Exists(Path.Combine(folder, "starts")));
    }

    [Fact]
    public async Task More_prompts_than_64_are_refused()
    {
        var (id, _) = await api.PutCheckpoint();
        var prompts = string.Join(',', Enumerable.Repeat("\"a\"", 65));

        Assert.Equal(["/prompts"], Api.Pointers(await api.Post($"/jobs/{id}/generate", $$"""{"prompts": [{{prompts}}]}""", HttpStatusCode.UnprocessableEntity)));
    }

    [Fact]
    public async Task A_client_that_goes_away_leaves_the_process_to_the_next()
    {
        var (id, folder) = await api.PutCheckpoint();
        File.WriteAllText(Path.Combine(folder, "loads-slowly"), ""); // and so the rest of the answer is worth waiting for

        await ReadOnePiece(id, "slowly");
        var next = await api.Post($"/jobs/{id}/generate", """{"prompts": ["a"]}""", HttpStatusCode.OK);

        Assert.Equal("end", (string)next["texts"]![0]!["text"]!);
        Assert.Single(Starts(folder));
    }

    [Fact]
    public async Task A_process_that_would_go_on_for_long_after_its_client_left_is_replaced()
    {
        var (id, folder) = await api.PutCheckpoint();

        await ReadOnePiece(id, "endless");
        var next = await api.Post($"/jobs/{id}/generate", """{"prompts": ["a"]}""", HttpStatusCode.OK);

        Assert.Equal("end", (string)next["texts"]![0]!["text"]!);
        Assert.Equal(2, Starts(folder).Length);
    }

    [Fact]
    public async Task A_client_that_leaves_the_real_model_in_mid_stream_changes_no_later_text()
    {
        var (id, _) = await WithModel("tiny-llama");
        var expected = await api.Post($"/jobs/{id}/generate", Drawn, HttpStatusCode.OK);

        await ReadOnePiece(id, "once", 200);

        Assert.Equal(expected.ToJsonString(), (await api.Post($"/jobs/{id}/generate", Drawn, HttpStatusCode.OK)).ToJsonString());
    }

    [Fact]
    public async Task A_process_that_dies_midway_is_told_in_the_stream_and_the_next_request_works()
    {
        var (id, folder) = await api.PutCheckpoint();

        using var response = await Stream(id, """{"prompts": ["die midway"]}""");
        var parts = (await response.Content.ReadAsStringAsync(Api.Cancel)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);

        Assert.Equal("data: {\"prompt\":0,\"text\":\"half \"}", parts[0]);
        Assert.StartsWith("event: error\ndata: ", parts[1]);
        Assert.Equal(503, (int)JsonNode.Parse(parts[1]["event: error\ndata: ".Length..])!["status"]!);
        await api.Post($"/jobs/{id}/generate", """{"prompts": ["die midway"]}""", HttpStatusCode.ServiceUnavailable);
        await api.Post($"/jobs/{id}/generate", """{"prompts": ["a"]}""", HttpStatusCode.OK);
        Assert.Equal(3, Starts(folder).Length);
    }

    [Fact]
    public async Task A_process_that_died_before_it_spoke_is_replaced_unseen()
    {
        var (id, folder) = await api.PutCheckpoint();

        await api.Post($"/jobs/{id}/generate", """{"prompts": ["crash once"]}""", HttpStatusCode.OK);

        Assert.Equal(2, Starts(folder).Length);
    }

    private static string[] Starts(string folder) => File.ReadAllLines(Path.Combine(folder, "starts"));

    private async Task<(string Id, string Folder)> WithModel(string name)
    {
        var (id, folder) = await api.PutCheckpoint();
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Api.Output, "models", name)))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        return (id, folder);
    }

    private Task<HttpResponseMessage> Stream(string id, string body) => Stream(api.Http, id, body);

    private static async Task<HttpResponseMessage> Stream(HttpClient http, string id, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/jobs/{id}/generate") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Api.Cancel);
    }

    /// <summary>Reads the first piece and hangs up; a client by default would first read on for two seconds.</summary>
    private async Task ReadOnePiece(string id, string prompt, int tokens = 20)
    {
        using var hasty = new SocketsHttpHandler { ResponseDrainTimeout = TimeSpan.Zero };
        using var http = new HttpClient(hasty) { BaseAddress = api.Http.BaseAddress };
        http.DefaultRequestHeaders.Authorization = new("Bearer", Api.Key);
        using var response = await Stream(http, id, $$"""{"prompts": ["{{prompt}}"], "generation": {"max_new_tokens": {{tokens}} } }""");
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync(Api.Cancel));
        Assert.StartsWith("data: {\"prompt\":0,", await lines.ReadLineAsync(Api.Cancel));
    }
}
