using System.Net;
using System.Net.Http.Json;
using System.Text;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>A run from its dataset to a prediction, with everything logged that can be: no secret is in what the house writes down or hands on, and people's texts are only where they are kept or computed with.</summary>
public sealed class SecretsTests : IAsyncLifetime
{
    private const string HubToken = "hf_SecretTokenOfTheHubWhichNobodyMaySee", Sentence = "zyxomma quagswag whispers", Asked = "vibrissae of a private question", Planted = "foudroyant-and-no-secret";

    private readonly Service _service = new()
    {
        Settings = new Dictionary<string, string>
        {
            ["Hub__Token"] = HubToken,
            ["HF_TOKEN"] = HubToken,
            ["Webhooks__AllowPrivateAddresses"] = "true",
            ["Webhooks__PollInterval"] = "00:00:00.1",
            ["Serilog__MinimumLevel__Default"] = "Verbose",
            ["Serilog__MinimumLevel__Override__Microsoft"] = "Verbose",
            ["Serilog__MinimumLevel__Override__System"] = "Verbose",
            ["Serilog__MinimumLevel__Override__Hangfire"] = "Verbose",
        },
    };

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _service.InitializeAsync();

    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Fact]
    public async Task No_secret_leaves_its_place()
    {
        var project = (string)(await _service.Post("/projects", new { name = "secretive" }, HttpStatusCode.Created))["id"]!;
        var key = (string)(await _service.Post($"/projects/{project}/keys", new { name = "mine", scopes = new[] { "datasets:write", "jobs:write", "models:read" } }, HttpStatusCode.Created))["key"]!;
        _service.Http.DefaultRequestHeaders.Authorization = new("Bearer", key);
        var webhook = (string)(await _service.Post("/webhooks", new { url = $"{_service.Http.BaseAddress}health/live?token=unheard" }, HttpStatusCode.Created))["secret"]!; // It answers 405: reason enough to log.
        var password = (await File.ReadAllTextAsync(Path.Combine(_service.Data, "postgres", "password"), Cancel)).Trim();
        string[] secrets = [Service.Key, key, HubToken, webhook, webhook["whsec_".Length..], password];
        Assert.All(secrets, secret => Assert.True(secret.Length >= 16));

        _service.StartWorker();
        var id = await _service.PostJob(
            new { train = await Upload("train.tsv", 100), validation = await Upload("dev.tsv", 20) },
            new { max_steps = 60, per_device_train_batch_size = 4, max_length = 32, logging_steps = 1, eval_strategy = "steps", eval_steps = 30, save_strategy = "steps", save_steps = 30 });
        await _service.WaitForJob(id, job => job["progress"]?["step"]?.GetValue<int>() >= 1);
        var environment = await TrainerEnvironment(id);
        await _service.WaitForStatus(id, "succeeded");
        await _service.Post($"/jobs/{id}/predict", new { texts = new[] { Asked } }, HttpStatusCode.OK);
        await RefuseWithSecrets(key);

        Nowhere("the trainer's environment", environment, secrets);
        await Nowhere(id, secrets);
        await EachSearchBites(id);
    }

    /// <summary>Searches all that the house answers about a job and has written down.</summary>
    private async Task Nowhere(string id, string[] secrets)
    {
        foreach (var path in new[] { $"/jobs/{id}", $"/jobs/{id}/events", $"/jobs/{id}/metrics?limit=1000", $"/jobs/{id}/checkpoints" })
        {
            using var answer = await _service.Http.SendAsync(new(HttpMethod.Get, path), HttpCompletionOption.ResponseHeadersRead, Cancel);
            Nowhere(path, await answer.Content.ReadAsByteArrayAsync(Cancel), [.. secrets, Sentence, Asked]);
        }
        foreach (var log in _service.Logs)
        {
            var text = await ReadShared(log);
            Assert.True(text.Length > 10_000, $"{log} is too short to tell anything.");
            Nowhere(log, text, [.. secrets, Sentence, Asked]);
        }
        var files = Directory.GetFiles(Path.Combine(_service.Data, "runs", id), "*", SearchOption.AllDirectories);
        Assert.Contains(files, file => file.EndsWith("model.safetensors", StringComparison.Ordinal));
        foreach (var file in files)
            Nowhere(file, await ReadShared(file), Path.GetFileName(file) == "samples.jsonl" ? secrets : [.. secrets, Sentence, Asked]);
        foreach (var file in Directory.GetFiles(Path.Combine(_service.Data, "datasets")).Concat(Directory.GetFiles(Path.Combine(_service.Data, "tokenized"), "*", SearchOption.AllDirectories)))
            Nowhere(file, await ReadShared(file), [.. secrets, Asked]);
    }

    /// <summary>A word is put into one searched place after the other: a search that looks elsewhere would find as little of it as of a secret.</summary>
    private async Task EachSearchBites(string id)
    {
        async Task IsFoundIn(string place) => Assert.StartsWith(place, (await Assert.ThrowsAsync<Xunit.Sdk.FailException>(() => Nowhere(id, [Planted]))).Message, StringComparison.Ordinal);

        foreach (var folder in new[] { "tokenized", "datasets", Path.Combine("runs", id, "checkpoints") })
        {
            var file = Path.Combine(_service.Data, folder, "planted");
            await File.WriteAllTextAsync(file, $"so {Planted} is here", Cancel);
            await IsFoundIn(file);
            File.Delete(file);
        }
        await Nowhere(id, [Planted]);

        using var unknown = await _service.Http.GetAsync($"/jobs/{Planted}", Cancel); // Paths are logged.
        while (!Encoding.UTF8.GetString(await ReadShared(_service.Logs[0])).Contains(Planted, StringComparison.Ordinal))
            await Task.Delay(50, Cancel); // Its line is on its way.
        await IsFoundIn(_service.Logs[0]);
        using (var renamed = await _service.Http.PatchAsJsonAsync($"/jobs/{id}", new { name = Planted }, Cancel))
            Assert.Equal(HttpStatusCode.OK, renamed.StatusCode);
        await IsFoundIn($"/jobs/{id}");
    }

    /// <summary>Requests that fail are told of most.</summary>
    private async Task RefuseWithSecrets(string key)
    {
        foreach (var (scheme, parameter) in new[] { ("Bearer", key[..^1]), ("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"me:{key}x"))), ("Digest", key) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/jobs");
            request.Headers.Authorization = new(scheme, parameter);
            using var answer = await _service.Http.SendAsync(request, Cancel);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        }
        using var refused = await _service.Http.PostAsJsonAsync("/jobs", new { name = Asked, base_model = "none", task = Asked }, Cancel);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, refused.StatusCode);
        using var ragged = new MultipartFormDataContent { { new StringContent($"text,label\n{Sentence}\n"), "file", "ragged.csv" } };
        using var unread = await _service.Http.PostAsync("/datasets", ragged, Cancel);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, unread.StatusCode);
    }

    private async Task<string> Upload(string fileName, int rows)
    {
        var content = "sentence\tlabel\n" + string.Concat(Enumerable.Range(0, rows).Select(row => $"{Sentence} {row}\t{row % 2}\n"));
        using var form = new MultipartFormDataContent { { new StringContent(content), "file", fileName } };
        using var answer = await _service.Http.PostAsync("/datasets", form, Cancel);
        Assert.True(answer.StatusCode == HttpStatusCode.Created, await answer.Content.ReadAsStringAsync(Cancel));
        return (await answer.Content.ReadFromJsonAsync<System.Text.Json.Nodes.JsonObject>(Cancel))!["id"]!.GetValue<string>();
    }

    /// <summary>Of the process that works in the run's folder.</summary>
    private static async Task<byte[]> TrainerEnvironment(string id)
    {
        foreach (var process in Directory.EnumerateDirectories("/proc").Where(folder => int.TryParse(Path.GetFileName(folder), out _)))
        {
            try
            {
                var command = await File.ReadAllTextAsync(Path.Combine(process, "cmdline"), Cancel);
                if (command.Contains("train\0", StringComparison.Ordinal) && command.Contains(id, StringComparison.Ordinal))
                    return await File.ReadAllBytesAsync(Path.Combine(process, "environ"), Cancel);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // It has ended, or is none of ours.
            }
        }
        throw new InvalidOperationException("The trainer is not there: give the run more steps.");
    }

    private static async Task<byte[]> ReadShared(string path)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var content = new MemoryStream();
        await file.CopyToAsync(content, Cancel);
        return content.ToArray();
    }

    private static void Nowhere(string where, byte[] content, IEnumerable<string> secrets)
    {
        foreach (var secret in secrets)
            if (content.AsSpan().IndexOf(Encoding.UTF8.GetBytes(secret)) is >= 0 and var at)
                Assert.Fail($"{where}, at byte {at}: {Encoding.UTF8.GetString(content.AsSpan(Math.Max(0, at - 200), Math.Min(content.Length - Math.Max(0, at - 200), 200 + secret.Length)))}");
    }
}
