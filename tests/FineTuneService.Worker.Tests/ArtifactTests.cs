using System.Formats.Tar;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker.Tests;

/// <summary>API and workers that share a bucket and a database, and no disk.</summary>
public sealed class ArtifactTests : IAsyncLifetime
{
    private const string Key = "ft_of_the_tests_which_nobody_can_guess_0123";

    private readonly House _house = new();
    private readonly S3Server _s3 = new();
    private readonly string _machines = Directory.CreateTempSubdirectory("finetune-machines-").FullName;
    private readonly HttpClient _http = new(new SocketsHttpHandler()) { Timeout = TimeSpan.FromMinutes(2) };

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await _house.InitializeAsync();
        await _s3.InitializeAsync();
        (_http.BaseAddress, _http.DefaultRequestHeaders.Authorization) = (new Uri(S3Server.FreeAddress()), new("Bearer", Key));
        _house.StartApi(_http.BaseAddress.OriginalString, [("Access__BootstrapKey", Key), .. Machine("api")]);
        while (!await Answers("/health/live"))
            await Task.Delay(100, Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _house.DisposeAsync();
        await _s3.DisposeAsync();
        Directory.Delete(_machines, recursive: true);
    }

    [Fact]
    [Trait("Suite", "slow"), Trait("Suite", "faults")]
    public async Task Datasets_and_checkpoints_go_by_the_bucket_and_leave_nothing_there()
    {
        _house.StartWorker(Machine("worker"));
        var (train, dev) = (await Upload("train.tsv", 200), await Upload("dev.tsv", 32));
        var id = await Post(train, dev, steps: 20, every: 10);
        await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);
        Assert.Equal("ok", (await Get("/health/ready"))["checks"]!["artifacts"]!.GetValue<string>());

        var checkpoint = $"/jobs/{id}/checkpoints/final";
        var files = (await Get(checkpoint + "/files"))["data"]!.AsArray().Select(file => file!["path"]!.GetValue<string>()).ToList();
        Assert.Contains("model.safetensors", files);
        var made = await File.ReadAllBytesAsync(Path.Combine(_machines, "worker", "runs", id, "checkpoints", "checkpoint-20", "model.safetensors"), Cancel);
        Assert.Equal(SHA256.HashData(made), SHA256.HashData(await _http.GetByteArrayAsync(checkpoint + "/files/model.safetensors", Cancel)));
        using var part = new HttpRequestMessage(HttpMethod.Get, checkpoint + "/files/model.safetensors") { Headers = { Range = new RangeHeaderValue(1000, 1999) } };
        using var answer = await _http.SendAsync(part, Cancel);
        Assert.Equal(HttpStatusCode.PartialContent, answer.StatusCode);
        Assert.Equal(made[1000..2000], await answer.Content.ReadAsByteArrayAsync(Cancel));
        await using (var archive = new TarReader(await _http.GetStreamAsync(checkpoint + "/archive", Cancel)))
        {
            var entries = new List<string>();
            while (await archive.GetNextEntryAsync(cancellationToken: Cancel) is { } entry)
                entries.Add(Path.GetFileName(entry.Name));
            Assert.Equal(files.Order(), entries.Order());
        }
        using (var predicted = await _http.PostAsJsonAsync($"/jobs/{id}/predict", new { texts = new[] { "a fine film" } }, Cancel))
            Assert.True(predicted.IsSuccessStatusCode, await predicted.Content.ReadAsStringAsync(Cancel));

        var next = await Post(train, dev, steps: 4, every: 4, baseModel: $"job:{id}@10");
        await _house.WaitFor(next, job => job.Status == JobStatus.Succeeded);
        foreach (var path in new[] { $"/jobs/{next}", $"/jobs/{id}", $"/datasets/{train}", $"/datasets/{dev}" })
            using (var deleted = await _http.DeleteAsync(path, Cancel))
                Assert.True(deleted.IsSuccessStatusCode, await deleted.Content.ReadAsStringAsync(Cancel));
        Assert.Empty(_s3.Objects);
    }

    /// <param name="damages">The newest checkpoint is damaged too, so that the one before it counts.</param>
    [Theory, InlineData(false), InlineData(true)]
    [Trait("Suite", "slow"), Trait("Suite", "faults")]
    public async Task A_worker_with_an_empty_disk_takes_a_run_over_where_the_bucket_has_it(bool damages)
    {
        var worker = _house.StartWorker(Machine("first"));
        var (train, dev) = (await Upload("train.tsv", 400), await Upload("dev.tsv", 32));
        var id = await Post(train, dev, steps: 160, every: 20);
        await _house.WaitFor(id, job => job.Step >= 50);
        while ((await Steps(id)).Count < 2)
            await Task.Delay(50, Cancel);
        worker.Kill();
        await worker.WaitForExitAsync(Cancel);
        var stored = await Steps(id);
        Directory.Delete(Path.Combine(_machines, "first"), recursive: true);
        if (damages)
            _s3.Damage($"runs/{id}/checkpoints/checkpoint-{stored[^1]}/model.safetensors");

        _house.StartWorker(Machine("second"));
        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);

        Assert.Equal(2, job.Attempt);
        await using var db = await _house.Database();
        var started = await db.Events.Where(row => row.JobId == id && row.Type == "started").OrderBy(row => row.Seq).Select(row => row.Data).ToListAsync(Cancel);
        Assert.Equal(damages ? stored[^2] : stored[^1], JsonNode.Parse(started[^1])!["step"]!.GetValue<int>());
        var unbroken = await Post(train, dev, steps: 160, every: 20);
        await _house.WaitFor(unbroken, job => job.Status == JobStatus.Succeeded);
        Assert.Equal(await Losses(unbroken), await Losses(id));
        Assert.Equal(Enumerable.Range(1, 8).Select(number => number * 20), await Steps(id));
        Assert.All(await Steps(id), step => Assert.Contains($"runs/{id}/checkpoints/checkpoint-{step}/manifest.json", _s3.Objects));
    }

    [Fact]
    [Trait("Suite", "slow"), Trait("Suite", "faults")]
    public async Task Training_goes_on_without_the_bucket_and_the_checkpoints_come_later()
    {
        _house.StartWorker(Machine("worker"));
        var id = await Post(await Upload("train.tsv", 400), await Upload("dev.tsv", 32), steps: 120, every: 20);
        await _house.WaitFor(id, job => job.Step >= 5);
        await _s3.Stop();
        await _house.WaitFor(id, job => job.Step == 120);
        var listed = await Steps(id);
        await Task.Delay(TimeSpan.FromSeconds(2), Cancel);
        Assert.True(listed.Count < 6);
        Assert.Equal(JobStatus.Running, (await _house.WaitFor(id, _ => true)).Status);

        await _s3.Start();
        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);

        Assert.Equal(1, job.Attempt);
        Assert.Equal([20, 40, 60, 80, 100, 120], await Steps(id));
    }

    /// <summary>Its base model was posted, to another machine; and so was the base of the adapter that the second one is trained upon.</summary>
    [Fact]
    [Trait("Suite", "slow"), Trait("Suite", "faults")]
    public async Task An_adapter_finds_all_that_it_stands_on_on_another_machine()
    {
        Directory.CreateDirectory(Path.Combine(_machines, "models"));
        _house.StartWorker([.. Machine("worker"), ("Storage__ModelsDirectory", Path.Combine(_machines, "models"))]);
        using (var archive = new MemoryStream())
        {
            await TarFile.CreateFromDirectoryAsync(Path.Combine(AppContext.BaseDirectory, "samples", "models", "tiny-bert-en"), archive, includeBaseDirectory: false, Cancel);
            using var form = new MultipartFormDataContent { { new ByteArrayContent(archive.ToArray()), "file", "posted.tar" }, { new StringContent("acme/posted"), "name" } };
            using var posted = await _http.PostAsync("/base-models", form, Cancel);
            Assert.True(posted.StatusCode == HttpStatusCode.Created, await posted.Content.ReadAsStringAsync(Cancel));
            using var again = await _http.PostAsync("/base-models", form, Cancel);
            Assert.Equal(HttpStatusCode.Conflict, again.StatusCode);
        }
        var (train, dev) = (await Upload("train.tsv", 200), await Upload("dev.tsv", 32));

        var first = await Post(train, dev, steps: 10, every: 10, "acme/posted", new { type = "lora", r = 4 });
        await _house.WaitFor(first, job => job.Status == JobStatus.Succeeded);
        var second = await Post(train, dev, steps: 10, every: 10, $"job:{first}@10", new { type = "lora", r = 2 });
        await _house.WaitFor(second, job => job.Status == JobStatus.Succeeded);

        foreach (var id in new[] { first, second })
            using (var predicted = await _http.PostAsJsonAsync($"/jobs/{id}/predict", new { texts = new[] { "a fine film" } }, Cancel))
                Assert.True(predicted.IsSuccessStatusCode, await predicted.Content.ReadAsStringAsync(Cancel));
    }

    [Fact]
    [Trait("Suite", "slow"), Trait("Suite", "faults")]
    public async Task What_the_bucket_has_changed_is_not_handed_out()
    {
        _house.StartWorker(Machine("worker"));
        var train = await Upload("train.tsv", 200);
        var id = await Post(train, await Upload("dev.tsv", 32), steps: 10, every: 10);
        await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);
        _s3.Damage($"runs/{id}/checkpoints/checkpoint-10/model.safetensors");
        _s3.Damage($"datasets/{train}.tsv");
        File.Delete(Path.Combine(_machines, "api", "datasets", $"{train}.tsv"));

        foreach (var path in new[] { $"/jobs/{id}/checkpoints/10/files/config.json", $"/datasets/{train}/content" })
        {
            using var refused = await _http.GetAsync(path, Cancel);
            Assert.Equal(HttpStatusCode.BadGateway, refused.StatusCode);
            Assert.Contains("checksum", await refused.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        }
    }

    [Fact]
    [Trait("Suite", "slow"), Trait("Suite", "faults")]
    public async Task Wrong_keys_are_told_at_the_start()
    {
        var worker = _house.StartWorker([.. Machine("worker"), ("Storage__S3__AccessKey", "another")]);
        await worker.WaitForExitAsync(Cancel);
        Assert.NotEqual(0, worker.ExitCode);
    }

    private (string, string)[] Machine(string name) => [.. _s3.Environment, ("Storage__DataDirectory", Path.Combine(_machines, name)), ("Storage__ModelsDirectory", Models(name))];

    /// <summary>The API's is one that may be written to.</summary>
    private string Models(string machine)
    {
        var samples = Path.Combine(AppContext.BaseDirectory, "samples", "models");
        if (machine != "api")
            return samples;
        var own = Path.Combine(_machines, "api-models");
        Directory.CreateDirectory(Path.Combine(own, "tiny-bert-en"));
        foreach (var file in Directory.GetFiles(Path.Combine(samples, "tiny-bert-en")))
            File.Copy(file, Path.Combine(own, "tiny-bert-en", Path.GetFileName(file)), overwrite: true);
        return own;
    }

    private async Task<bool> Answers(string path)
    {
        try
        {
            using var answer = await _http.GetAsync(path, Cancel);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private async Task<JsonObject> Get(string path) => (await _http.GetFromJsonAsync<JsonObject>(path, Cancel))!;

    private async Task<string> Upload(string file, int rows)
    {
        var content = string.Join('\n', File.ReadLines(Path.Combine(AppContext.BaseDirectory, "samples", "sst2", file)).Take(rows + 1)) + "\n";
        using var form = new MultipartFormDataContent { { new StringContent(content), "file", file } };
        return await Id(await _http.PostAsync("/datasets", form, Cancel));
    }

    private async Task<string> Post(string train, string validation, int steps, int every, string baseModel = "tiny-bert-en", object? method = null)
    {
        var spec = JsonNode.Parse(House.Spec(steps, every, baseModel))!.AsObject();
        spec.Remove("revision");
        spec["training"]!["save_total_limit"] = 10; // All of them.
        if (method is not null)
            spec["method"] = System.Text.Json.JsonSerializer.SerializeToNode(method);
        spec["dataset"] = new JsonObject { ["train"] = train, ["validation"] = validation };
        return await Id(await _http.PostAsJsonAsync("/jobs", spec, Cancel));
    }

    private static async Task<string> Id(HttpResponseMessage answer)
    {
        using (answer)
        {
            Assert.True(answer.StatusCode == HttpStatusCode.Created, await answer.Content.ReadAsStringAsync(Cancel));
            return (await answer.Content.ReadFromJsonAsync<JsonObject>(Cancel))!["id"]!.GetValue<string>();
        }
    }

    /// <summary>Of the checkpoints that are listed.</summary>
    private async Task<List<int>> Steps(string id) => [.. (await Get($"/jobs/{id}/checkpoints"))["data"]!.AsArray().Select(row => row!["step"]!.GetValue<int>())];

    private async Task<List<(int, double)>> Losses(string id) => [.. (await _house.Losses(id)).Select(metric => (metric.Step, metric.Value))];
}
