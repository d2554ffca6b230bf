using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FineTuneService.Api.Access;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests.Fuzz;

/// <summary>Whatever a request holds, the answer is a status below 500 with a problem that tells why, and it comes soon. In a project of its own, so that nobody else meets the jobs that are made by the way.</summary>
public sealed partial class HttpFuzzTests(Api api) : IAsyncLifetime
{
    private const int Short = 50, Long = 1_750, AtOnce = 4;
    private static readonly string[] Words =
        ["tiny-bert-en", "job:x", "../x", "text-classification", "causal-lm", "sft", "lora", "auto", "training", "method", "dataset", "validation_split", "epoch", "values", "/training/learning_rate", "https://[::1]/", "jobs:read", "metadata", "scheduling", "depends_on"];

    private static readonly string[] ChatWords =
        ["role", "content", "user", "assistant", "tool", "tools", "tool_calls", "tool_choice", "none", "function", "name", "arguments", "<tool_call>", "text", "stream", "stop", "{\"a\": 1}", "max_tokens", "response_format"];

    private static readonly string[] Values = ["", "\0", "a\0b", "-1", "0", "1e9", "99999999999999999999", "\uD83D\uDE00", "'; DROP TABLE jobs; --", "%", "job_0", "null", "2026-99-99", "\r\n", "../..", new('x', 2000), "true", "NaN", "eyJ4IjoxfQ"];

    private readonly HttpClient _http = new(new SocketsHttpHandler()) { BaseAddress = api.Http.BaseAddress, Timeout = TimeSpan.FromMinutes(1) };
    private string _project = null!, _dataset = null!;

    public static TheoryData<string> Kinds => ["/jobs", "/jobs/estimate", "/sweeps", "/datasets", "/datasets/uploads", "/datasets/{dataset}/report", "/datasets/{dataset}/clean", "/base-models", "/webhooks", "/v1/files", "/v1/fine_tuning/jobs", "/v1/chat/completions", "/v1/completions", "/session", "queries"];

    public async ValueTask InitializeAsync()
    {
        _project = (string)(await api.Post("/projects", """{"name": "fuzz"}""", HttpStatusCode.Created))["id"]!;
        _http.DefaultRequestHeaders.Authorization = new("Bearer", Api.Key);
        _http.DefaultRequestHeaders.Add(Caller.ProjectHeader, _project);
        _dataset = (string)(await Api.Read(await _http.PostAsync("/datasets", Api.Form("rows.jsonl", Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 20).Select(Row)))), Api.Cancel), HttpStatusCode.Created))["id"]!;
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await api.InDatabase(async db =>
        {
            await db.Jobs.Where(job => job.ProjectId == _project).ExecuteDeleteAsync(CancellationToken.None);
            return await db.Sweeps.Where(sweep => sweep.ProjectId == _project).ExecuteDeleteAsync(CancellationToken.None);
        });
    }

    [Theory, MemberData(nameof(Kinds))]
    public Task A_spoilt_request_is_answered(string kind) => Fuzz(kind, 1, Short);

    [Theory, MemberData(nameof(Kinds)), Trait("Suite", "fuzz")]
    public Task So_are_many(string kind) => Fuzz(kind, 1_000_000, Long);

    /// <summary>Or little would be reached by spoiling it.</summary>
    [Theory, MemberData(nameof(Kinds))]
    public async Task What_is_spoilt_is_sound(string kind)
    {
        var answers = new List<string>();
        foreach (var input in await Corpus(kind))
            answers.Add(await Ask(kind, input, Api.Cancel) is (true, null) ? "taken" : $"refused: {Encoding.UTF8.GetString(input)}");

        if (kind is "/base-models" or "queries") // Both archives are the same model; queries have no values yet.
            Assert.Contains("taken", answers);
        else
            Assert.All(answers, answer => Assert.Equal("taken", answer));
    }

    /// <summary>A row for whatever task.</summary>
    private static string Row(int number) => $$"""{"text": "text {{number}}", "label": {{number % 2}}, "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "prompt": "a", "completion": "b", "chosen": "c", "rejected": "d", "tokens": ["a", "b"], "ner_tags": ["O", "B-PER"]}""" + "\n";

    private async Task Fuzz(string kind, int firstSeed, int requests)
    {
        var isLong = requests == Long;
        if (Environment.GetEnvironmentVariable("FUZZ_SEED") is { } only)
            (firstSeed, requests) = (int.Parse(only, System.Globalization.CultureInfo.InvariantCulture), 1);
        var corpus = await Corpus(kind);
        var tally = new FuzzTally(kind, requests, Stopwatch.StartNew());
        await Parallel.ForAsync(firstSeed, firstSeed + requests, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = Api.Cancel }, async (seed, cancel) =>
        {
            if (tally.HasEnough)
                return;
            var mutator = new Mutator(seed);
            var input = mutator.OneOf(corpus);
            input = kind == "queries" ? Encoding.ASCII.GetBytes(Value().Replace(Encoding.ASCII.GetString(input), _ => "=" + Uri.EscapeDataString(mutator.OneOf(Values))))
                : IsForm(kind) ? mutator.SpoilBytes(input, ["--b", "--b--", "\r\n\r\n", "filename=\"", "filename*=UTF-8''%00", "name=\"name\""])
                : mutator.SpoilJson(input, kind.EndsWith("completions", StringComparison.Ordinal) ? ChatWords : Words);
            var clock = Stopwatch.StartNew();
            var (isTaken, problem) = await Ask(kind, input, cancel);
            tally.Count(seed, input, clock.Elapsed, isTaken, problem);
        });

        tally.Judge(print: isLong);
    }

    private async Task<IReadOnlyList<byte[]>> Corpus(string kind) => kind switch
    {
        "/datasets" => [Form("rows.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\"}\n"u8.ToArray()), Form("rows.csv", "text,label\n\"a\",1\n"u8.ToArray())],
        "/datasets/{dataset}/report" => ["""{"base_model": "tiny-bert-en", "options": {"columns": {"text_column": "text", "label_column": "label"}, "max_length": 128, "checks": ["exact_duplicate", "leakage"], "near_duplicate_similarity": 0.8, "mislabel_rows": 1000, "shown_rows": 10} }"""u8.ToArray()],
        "/datasets/{dataset}/clean" => ["""{"name": "n", "recipe": {"columns": {"text_column": "text"}, "encoding": "utf-8", "min_characters": 2, "exact_duplicates": true, "near_duplicates": 0.9, "conflicting_labels": "drop", "personal_data": "mask", "drop": [{"split": "train", "lines": [2]}], "validation_split": 0.1, "seed": 1} }"""u8.ToArray()],
        "/session" => [Encoding.UTF8.GetBytes($$"""{"key": "{{Api.Key}}"}""")],
        "/base-models" => [Form("m.zip", Zip()), Form("m.tar", Tar())],
        "/datasets/uploads" => ["{\"name\": \"sst2/train.tsv\", \"bytes\": 1000, \"sha256\": \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}"u8.ToArray()],
        "/sweeps" => [Encoding.UTF8.GetBytes($$"""{"name": "s", "spec": {"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{_dataset}}", "validation_split": 0.5}, "method": {"type": "lora", "r": 4} }, "parameters": {"/training/learning_rate": {"min": 1e-5, "max": 1e-3, "distribution": "log_uniform"}, "/method/r": {"values": [4, 8]} }, "strategy": {"type": "random", "trials": 2, "seed": 1}, "metric": "loss", "direction": "minimize", "max_concurrent_jobs": 1}""")],
        // Of a model that is not there: nothing is to be loaded.
        "/v1/chat/completions" => ["""{"model": "nobody", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Bonn\"}"} }]}, {"role": "tool", "tool_call_id": "1", "content": "Rain."}], "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"} } }], "tool_choice": "auto", "temperature": 0.5, "stop": ["x"], "stream": true, "stream_options": {"include_usage": true}, "response_format": {"type": "text"} }"""u8.ToArray()],
        "/v1/completions" => ["""{"model": "nobody", "prompt": ["a", "b"], "max_tokens": 5, "temperature": 1.2, "top_p": 0.9, "n": 1, "stop": "x", "seed": 3, "stream": true, "echo": false, "logit_bias": {} }"""u8.ToArray()],
        "/v1/fine_tuning/jobs" => [Encoding.UTF8.GetBytes($$"""{"model": "tiny-llama", "training_file": "{{_dataset.Replace("ds_", "file-", StringComparison.Ordinal)}}", "suffix": "s", "seed": 1, "metadata": {"a": "b"}, "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 0.5} } } }""")],
        "/v1/files" => [[.. "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"u8, .. Form("rows.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n"u8.ToArray())]],
        "/webhooks" => ["""{"url": "https://example.com/hooks", "events": ["job.succeeded", "job.failed"]}"""u8.ToArray()],
        "queries" => [.. await Queries()],
        _ => [.. Jobs().Select(Encoding.UTF8.GetBytes)],
    };

    private async Task<(bool IsTaken, string? Problem)> Ask(string kind, byte[] input, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, kind.Replace("{dataset}", _dataset, StringComparison.Ordinal)) { Content = new ByteArrayContent(input) };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(IsForm(kind) ? "multipart/form-data; boundary=b" : "application/json");
        if (kind == "queries")
            (request.Method, request.RequestUri, request.Content) = (HttpMethod.Get, new(Encoding.ASCII.GetString(input), UriKind.Relative), null);
        using var answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        var status = (int)answer.StatusCode;
        if (status < 400)
            return (true, null);
        var isTaken = status is 404 or 409; // It was read, and what it names is not there, or is there already.
        var text = await answer.Content.ReadAsStringAsync(cancel);
        if (status < 500 && request.RequestUri!.AbsolutePath.StartsWith("/v1/", StringComparison.Ordinal) && text.StartsWith("{\"error\":{\"message\":", StringComparison.Ordinal))
            return (isTaken, null); // As OpenAI's clients read it.
        if (status < 500 && answer.Content.Headers is { ContentLength: 0 } or { ContentType.MediaType: "application/problem+json" }) // Kestrel itself says nothing.
            return (isTaken, null);
        return (false, $"{status} {answer.Content.Headers.ContentType} {text} {request.RequestUri}");
    }

    private static bool IsForm(string kind) => kind is "/datasets" or "/base-models" or "/v1/files";

    /// <summary>The sample jobs whose models are here, on a dataset that there is.</summary>
    private IEnumerable<string> Jobs() =>
        from file in Directory.EnumerateFiles(Path.Combine(Api.Output, "samples"), "*.json").Order(StringComparer.Ordinal)
        let job = Placeholder().Replace(File.ReadAllText(file), _dataset).Replace("tiny-llama-en", "tiny-llama", StringComparison.Ordinal)
        where !job.Contains("electra", StringComparison.Ordinal)
        select job;

    /// <summary>Every route that is read with parameters, with all of them; a value is to follow each '='.</summary>
    private async Task<IEnumerable<byte[]>> Queries()
    {
        var document = JsonNode.Parse(await api.Http.GetStringAsync("/swagger/v1/swagger.json", Api.Cancel))!;
        return from path in document["paths"]!.AsObject()
               where path.Value!["get"]?["parameters"] is JsonArray
               let query = path.Value["get"]!["parameters"]!.AsArray().Where(parameter => (string?)parameter!["in"] == "query").Select(parameter => $"{parameter!["name"]}=")
               where !path.Key.EndsWith("/events", StringComparison.Ordinal) // Some never end.
               select Encoding.ASCII.GetBytes($"{Parameter().Replace(path.Key, "=")}?{string.Join('&', query)}");
    }

    private static byte[] Form(string fileName, byte[] content) =>
        [.. Encoding.ASCII.GetBytes($"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{fileName}\"\r\nContent-Type: application/octet-stream\r\n\r\n"), .. content, .. "\r\n--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nfuzzed\r\n--b--\r\n"u8];

    /// <summary>A model without weights, which is taken.</summary>
    private static IEnumerable<(string Name, byte[] Content)> Model() =>
    [
        ("config.json", File.ReadAllBytes(Path.Combine(Api.Output, "models", "tiny-bert-en", "config.json"))),
        ("tokenizer.json", File.ReadAllBytes(Path.Combine(Api.Output, "Fixtures", "fuzz", "wordpiece.json"))),
    ];

    private static byte[] Zip()
    {
        using var packed = new MemoryStream();
        using (var zip = new ZipArchive(packed, ZipArchiveMode.Create, leaveOpen: true))
            foreach (var (name, content) in Model())
                using (var entry = zip.CreateEntry($"m/{name}").Open())
                    entry.Write(content);
        return packed.ToArray();
    }

    private static byte[] Tar()
    {
        using var packed = new MemoryStream();
        using (var tar = new TarWriter(packed, leaveOpen: true))
            foreach (var (name, content) in Model())
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, $"m/{new string('n', 200)}/{name}") { DataStream = new MemoryStream(content) });
        return packed.ToArray();
    }

    [GeneratedRegex(@"\$\{[^}]*\}")]
    private static partial Regex Placeholder();

    [GeneratedRegex("=")]
    private static partial Regex Value();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Parameter();
}
