using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>A disk without room, for whatever the hosts write: nothing that was whole is lost, everybody is told, and all goes on by itself when there is room.</summary>
[Trait("Suite", "faults")]
public sealed class FullDiskTests : IAsyncLifetime
{
    private const int Megabytes = 400;

    private SmallDisk _disk = null!;
    private FaultyHouse _house = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _disk = await SmallDisk.Mount(Megabytes);
        // One attempt may be lost: what a full disk costs must not count.
        _house = new FaultyHouse(_disk) { Settings = { ["Worker__MaxAttempts"] = "1", ["Worker__FullDiskDelay"] = "00:00:01" } };
    }

    public async ValueTask DisposeAsync()
    {
        if (_house is not null)
            await _house.DisposeAsync();
        if (_disk is not null)
            await _disk.DisposeAsync();
    }

    [Fact]
    public async Task An_upload_without_room_leaves_nothing_and_can_be_sent_again()
    {
        await _house.Start(workers: 0);
        var rows = "text,label\n" + string.Concat(Enumerable.Range(0, 200_000).Select(row => $"a film of which one says {row} things,{row % 2}\n"));
        Assert.Empty((await _house.Get("/datasets"))["data"]!.AsArray());
        var before = Files();
        _disk.Fill(leave: 1 << 20); // It runs into the wall midway.

        var (status, problem) = await Upload(rows);

        Assert.Equal(HttpStatusCode.InsufficientStorage, status);
        Assert.Contains("disk is full", (string)problem["detail"]!, StringComparison.Ordinal);
        Assert.Equal([.. before, "filler"], Files());
        Assert.Empty((await _house.Get("/datasets"))["data"]!.AsArray());
        _disk.Fill();
        Assert.Equal(HttpStatusCode.InsufficientStorage, (await Upload(rows)).Status);
        Assert.Empty((await _house.Get("/jobs"))["data"]!.AsArray()); // It answers all the same.
        _disk.Free();

        (status, var dataset) = await Upload(rows);

        Assert.Equal(HttpStatusCode.Created, status);
        Assert.Equal(200_000, (int)dataset["rows"]!);
        Assert.Equal(rows, await _house.Http.GetStringAsync($"/datasets/{dataset["id"]}/content", Cancel));
        RunProof.Tell($"{rows.Length} bytes refused twice and taken once");
    }

    [Fact]
    public async Task A_checkpoint_without_room_costs_neither_the_run_nor_the_one_before_nor_the_result()
    {
        await _house.Start(workers: 1);
        var id = await _house.Post(RunProof.Spec(await _house.Upload("train.tsv", 200), steps: 300, saveSteps: 100));
        await RunProof.Until(async () => (await Steps(id)).Count > 0);
        _disk.Fill(leave: 1 << 20); // Enough for lines of the log.

        await RunProof.Until(async () => await Notes(id, "checkpoint_not_saved") > 0);
        var good = Sums(id);
        Assert.NotEmpty(good);
        await RunProof.Until(async () => (string?)(await _house.Get($"/jobs/{id}"))["status"] == "retrying"); // The last one must be saved.
        Assert.Contains("disk is full", (string)(await _house.Get($"/jobs/{id}"))["reason"]!, StringComparison.Ordinal);
        Assert.Equal(good, Sums(id));
        await Downloads(id);
        await RunProof.Until(async () => await Attempts(id) == 2); // It may find no room for long.
        _disk.Free();

        await RunProof.Until(async () => (string?)(await _house.Get($"/jobs/{id}"))["status"] == "succeeded");
        await RunProof.IsWhole(_house, id, 300);
        await Downloads(id);
        var started = (await Data(id, "started")).Select(data => (int)data["step"]!).ToList();
        Assert.Equal(0, started[0]);
        RunProof.Tell($"{await Attempts(id)} attempts, begun at steps {string.Join(", ", started)}");
        Assert.All(started[1..], step => Assert.Contains($"checkpoint-{step}/", string.Join('\n', good.Keys), StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Suite", "slow")]
    public Task Logs_without_room_lose_no_line_and_hosts_start_all_the_same() => LogsWithoutRoom(TimeSpan.FromSeconds(5));

    [Fact]
    [Trait("Suite", "slow")]
    public Task Logs_without_room_for_two_minutes_lose_no_line() => LogsWithoutRoom(TimeSpan.FromMinutes(2));

    private async Task LogsWithoutRoom(TimeSpan duration)
    {
        await _house.Start(workers: 1);
        var id = await _house.Post(RunProof.Spec(await _house.Upload("train.tsv", 200), steps: 600, saveSteps: 50));
        await RunProof.Until(async () => (int)(await _house.Get($"/jobs/{id}"))["progress"]!["step"]! >= 60);
        _disk.Fill(); // The log of the run and those of the hosts lie there.
        var (step, logged) = ((int)(await _house.Get($"/jobs/{id}"))["progress"]!["step"]!, Lines(id));
        await Task.Delay(duration, Cancel);

        Assert.InRange(Lines(id), logged, logged + 100); // A page of the disk that was begun may be filled.
        Assert.Equal("degraded", (string?)(await _house.Http.GetFromJsonAsync<JsonNode>("/health/ready", Cancel))!["status"]);
        _house.KillApi();
        Assert.True((int)(await _house.Get($"/jobs/{id}"))["progress"]!["step"]! >= step);
        var another = _house.AddWorker();
        await Task.Delay(TimeSpan.FromSeconds(2), Cancel);
        Assert.False(another.HasExited || _house.Workers[0].HasExited || _house.Api.HasExited);
        _disk.Free();

        await RunProof.Until(async () => (string?)(await _house.Get($"/jobs/{id}"))["status"] == "succeeded");
        await RunProof.IsWhole(_house, id, 600);
        RunProof.Tell($"{duration.TotalSeconds:F0} s without room, {await Attempts(id)} attempts, 600 steps");
    }

    [Fact]
    [Trait("Suite", "slow")]
    public async Task A_job_that_is_taken_without_room_waits_for_it()
    {
        await _house.Start(workers: 1);
        var data = await _house.Upload("train.tsv", 200);
        _disk.Fill();
        var id = await _house.Post(RunProof.Spec(data, steps: 16));

        await RunProof.Until(async () => await Attempts(id) >= 2);
        await RunProof.Until(async () => (string?)(await _house.Get($"/jobs/{id}"))["status"] == "retrying");
        Assert.Contains("disk is full", (string)(await _house.Get($"/jobs/{id}"))["reason"]!, StringComparison.Ordinal);
        _disk.Fill(leave: 20 << 10); // Enough to begin, and no more.
        await Task.Delay(TimeSpan.FromSeconds(5), Cancel);
        _disk.Free();

        await RunProof.Until(async () => (string?)(await _house.Get($"/jobs/{id}"))["status"] == "succeeded");
        await RunProof.IsWhole(_house, id, 16);
        RunProof.Tell($"{await Attempts(id)} attempts");
    }

    [Fact]
    [Trait("Suite", "slow")]
    public Task Room_that_comes_and_goes_at_random_instants_costs_no_job() => ComesAndGoes(rounds: 3);

    [Fact]
    [Trait("Suite", "slow")]
    public Task Room_that_comes_and_goes_sixty_times_costs_no_job() => ComesAndGoes(rounds: 60);

    private async Task ComesAndGoes(int rounds)
    {
        var clock = Stopwatch.StartNew();
        var random = new Random(11);
        await _house.Start(workers: 2);
        var data = await _house.Upload("train.tsv", 200);
        var jobs = new List<string>();
        for (var round = 0; round < rounds; round++)
        {
            while (await Open() < 3)
                jobs.Add(await _house.Post(RunProof.Spec(data, RunProof.Steps)));
            await Task.Delay(random.Next(200, 3000), Cancel);
            _disk.Fill(random.Next(3) switch { 0 => 0, 1 => random.Next(100_000), _ => random.Next(30_000_000) });
            await Task.Delay(random.Next(200, 3000), Cancel);
            _disk.Free();
            await MakeRoom();
        }
        await RunProof.Until(async () => await Open() == 0);
        await MakeRoom();
        Assert.Equal(0L, await _house.Query<long>("SELECT count(*) FROM finetune.jobs WHERE status <> 'Succeeded'"));
        RunProof.Tell($"{rounds} rounds, {jobs.Count} jobs, {await _house.Query<long>("SELECT count(*) FROM finetune.events WHERE type = 'status' AND data->>'status' = 'retrying'")} attempts without room, {clock.Elapsed.TotalSeconds:F0} s");
    }

    /// <summary>Checks what has ended, and deletes it.</summary>
    private async Task MakeRoom()
    {
        foreach (var run in Directory.GetDirectories(Directory.CreateDirectory(Path.Combine(_house.Data, "runs")).FullName))
            if ((string?)(await _house.Get($"/jobs/{Path.GetFileName(run)}"))["status"] == "succeeded")
            {
                await RunProof.IsWhole(_house, Path.GetFileName(run), RunProof.Steps);
                Directory.Delete(run, recursive: true);
            }
    }

    private async Task<(HttpStatusCode Status, JsonNode Body)> Upload(string rows)
    {
        using var form = new MultipartFormDataContent { { new StringContent(rows), "file", "films.csv" } };
        using var request = new HttpRequestMessage(HttpMethod.Post, "/datasets") { Content = form, Headers = { { "Idempotency-Key", "films" } } };
        using var answer = await _house.Http.SendAsync(request, Cancel);
        return (answer.StatusCode, (await answer.Content.ReadFromJsonAsync<JsonNode>(Cancel))!);
    }

    /// <summary>All checkpoints that are listed can be had.</summary>
    private async Task Downloads(string id)
    {
        foreach (var step in await Steps(id))
        {
            var manifest = JsonNode.Parse(await _house.Http.GetStringAsync($"/jobs/{id}/checkpoints/{step}/files/manifest.json", Cancel))!;
            foreach (var (file, entry) in manifest["files"]!.AsObject())
                Assert.Equal((string)entry!["sha256"]!, Convert.ToHexStringLower(SHA256.HashData(await _house.Http.GetByteArrayAsync($"/jobs/{id}/checkpoints/{step}/files/{file}", Cancel))));
        }
    }

    private async Task<List<int>> Steps(string id) => [.. (await _house.Get($"/jobs/{id}/checkpoints"))["data"]!.AsArray().Select(row => (int)row!["step"]!)];

    /// <summary>SHA-256 of each file of the run's checkpoints.</summary>
    private Dictionary<string, string> Sums(string id)
    {
        var root = Path.Combine(_house.Data, "runs", id, "checkpoints");
        return Directory.EnumerateDirectories(root, "checkpoint-*").SelectMany(Directory.EnumerateFiles).Order(StringComparer.Ordinal)
            .ToDictionary(file => Path.GetRelativePath(root, file), file => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(file))));
    }

    private List<string> Files() => [.. Directory.EnumerateFiles(_house.Data, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(_house.Data, file)).Where(file => !file.EndsWith(".log", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    private int Lines(string id) => File.ReadLines(Path.Combine(_house.Data, "runs", id, "events.jsonl")).Count();

    private Task<int> Attempts(string id) => _house.Query<int>($"SELECT attempt FROM finetune.jobs WHERE id = '{id}'");

    private Task<long> Open() => _house.Query<long>("SELECT count(*) FROM finetune.jobs WHERE status NOT IN ('Succeeded', 'Failed', 'Cancelled')");

    private Task<long> Notes(string id, string code) => _house.Query<long>($"SELECT count(*) FROM finetune.events WHERE job_id = '{id}' AND data->>'code' = '{code}'");

    private async Task<List<JsonNode>> Data(string id, string type) =>
        [.. JsonNode.Parse(await _house.Query<string>($"SELECT json_agg(data ORDER BY seq)::text FROM finetune.events WHERE job_id = '{id}' AND type = '{type}'"))!.AsArray().Select(data => data!)];
}
