using System.Collections.Concurrent;
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
    private const int Short = 50, Long = 3_400, AtOnce = 4;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly string[] Words =
        ["tiny-bert-en", "job:x", "../x", "text-classification", "causal-lm", "sft", "lora", "auto", "training", "method", "dataset", "validation_split", "epoch", "values", "/training/learning_rate", "https://[::1]/", "jobs:read", "metadata", "scheduling", "depends_on"];

    private static readonly string[] Values = ["", "\0", "a\0b", "-1", "0", "1e9", "99999999999999999999", "\uD83D\uDE00", "'; DROP TABLE jobs; --", "%", "job_0", "null", "2026-99-99", "\r\n", "../..", new('x', 2000), "true", "NaN", "eyJ4IjoxfQ"];

    private readonly HttpClient _http = new(new SocketsHttpHandler()) { BaseAddress = api.Http.BaseAddress, Timeout = TimeSpan.FromMinutes(1) };
    private string _project = null!, _dataset = null!;

    public static TheoryData<string> Kinds => ["/jobs", "/jobs/estimate", "/sweeps", "/datasets", "/base-models", "queries"];

    public async ValueTask InitializeAsync()
    {
        _project = (string)(await api.Post("/projects", """{"name": "fuzz"}""", HttpStatusCode.Created))["id"]!;
        _http.DefaultRequestHeaders.Authorization = new("Bearer", Api.Key);
        _http.DefaultRequestHeaders.Add(Caller.ProjectHeader, _project);
        _dataset = (string)(await Api.Read(await _http.PostAsync("/datasets", Api.Form("rows.csv", "text,label\ngood,1\nbad,0\n"u8.ToArray()), Api.Cancel), HttpStatusCode.Created))["id"]!;
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

    private async Task Fuzz(string kind, int firstSeed, int requests)
    {
        if (Environment.GetEnvironmentVariable("FUZZ_SEED") is { } only)
            (firstSeed, requests) = (int.Parse(only, System.Globalization.CultureInfo.InvariantCulture), 1);
        var corpus = kind switch
        {
            "/datasets" => [Form("rows.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\"}\n"u8.ToArray()), Form("rows.csv", "text,label\n\"a\",1\n"u8.ToArray())],
            "/base-models" => [Form("m.zip", Zip()), Form("m.tar", Tar())],
            "/sweeps" => [Encoding.UTF8.GetBytes($$"""{"name": "s", "spec": {{Jobs()[0]}}, "parameters": {"/training/learning_rate": {"min": 1e-5, "max": 1e-3, "scale": "log"}, "/method/r": {"values": [4, 8]} }, "strategy": {"type": "random", "trials": 2, "seed": 1}, "metric": "eval_loss", "direction": "minimize", "max_concurrent_jobs": 1}""")],
            "queries" => [.. await Queries()],
            _ => Jobs().Select(Encoding.UTF8.GetBytes).ToList(),
        };
        var failures = new ConcurrentQueue<string>();
        await Parallel.ForAsync(firstSeed, firstSeed + requests, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = Api.Cancel }, async (seed, cancel) =>
        {
            var mutator = new Mutator(seed);
            var input = mutator.OneOf(corpus);
            input = kind.StartsWith("/jobs", StringComparison.Ordinal) || kind == "/sweeps" ? mutator.SpoilJson(input, Words)
                : kind == "queries" ? Encoding.ASCII.GetBytes(Value().Replace(Encoding.ASCII.GetString(input), _ => "=" + Uri.EscapeDataString(mutator.OneOf(Values))))
                : mutator.SpoilBytes(input, ["--b", "--b--", "\r\n\r\n", "filename=\"", "filename*=UTF-8''%00", "name=\"name\""]);
            if (failures.Count < 10 && await Problem(kind, input, cancel) is { } problem)
                failures.Enqueue($"seed {seed}: {problem}\n    {(input.Length <= 600 ? Convert.ToBase64String(input) : $"{input.Length} bytes, which the seed makes again")}");
        });

        Assert.True(failures.IsEmpty, $"{kind}:\n{string.Join('\n', failures)}");
    }

    private async Task<string?> Problem(string kind, byte[] input, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, kind) { Content = new ByteArrayContent(input) };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(kind is "/datasets" or "/base-models" ? "multipart/form-data; boundary=b" : "application/json");
        if (kind == "queries")
            (request.Method, request.RequestUri, request.Content) = (HttpMethod.Get, new(Encoding.ASCII.GetString(input), UriKind.Relative), null);
        var clock = Stopwatch.StartNew();
        using var answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        if (clock.Elapsed > Patience)
            return $"takes {clock.Elapsed}";
        var status = (int)answer.StatusCode;
        if (status < 400)
            return null;
        var text = await answer.Content.ReadAsStringAsync(cancel);
        if (status < 500 && request.RequestUri!.AbsolutePath.StartsWith("/v1/", StringComparison.Ordinal) && text.StartsWith("{\"error\":{\"message\":", StringComparison.Ordinal))
            return null; // As OpenAI's clients read it.
        if (status < 500 && answer.Content.Headers is { ContentLength: 0 } or { ContentType.MediaType: "application/problem+json" }) // Kestrel itself says nothing.
            return null;
        return $"{status} {answer.Content.Headers.ContentType} {text} {request.RequestUri}";
    }

    /// <summary>The sample jobs, on a dataset that there is.</summary>
    private List<string> Jobs() =>
        [.. Directory.EnumerateFiles(Path.Combine(Api.Output, "samples"), "*.json").Order(StringComparer.Ordinal).Select(file => Placeholder().Replace(File.ReadAllText(file), _dataset))];

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

    private static byte[] Zip()
    {
        using var packed = new MemoryStream();
        using (var zip = new ZipArchive(packed, ZipArchiveMode.Create, leaveOpen: true))
        using (var config = zip.CreateEntry("m/config.json").Open())
            config.Write("{\"model_type\": \"bert\"}"u8);
        return packed.ToArray();
    }

    private static byte[] Tar()
    {
        using var packed = new MemoryStream();
        using (var tar = new TarWriter(packed, leaveOpen: true))
            tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, $"m/{new string('n', 200)}/config.json") { DataStream = new MemoryStream("{\"model_type\": \"bert\"}"u8.ToArray()) });
        return packed.ToArray();
    }

    [GeneratedRegex(@"\$\{[^}]*\}")]
    private static partial Regex Placeholder();

    [GeneratedRegex("=")]
    private static partial Regex Value();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Parameter();
}
