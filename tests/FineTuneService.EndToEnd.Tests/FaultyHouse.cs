using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using FineTuneService.Storage.Postgres;
using FineTuneService.Storage.Tests;
using Npgsql;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>API, workers, trainers and a Postgres, each a process that may be killed at any time, and a client that does not give up.</summary>
/// <param name="disk">Of the hosts' files; null: a folder of its own.</param>
internal sealed class FaultyHouse(SmallDisk? disk = null) : IAsyncDisposable
{
    private const string Key = "ft_of_the_tests_which_nobody_can_guess_0123";

    private readonly string _home = Directory.CreateTempSubdirectory("finetune-faults-").FullName;
    private readonly HttpClient _http = new(new SocketsHttpHandler()) { BaseAddress = new Uri($"http://127.0.0.1:{FreePort()}"), Timeout = TimeSpan.FromSeconds(30), DefaultRequestHeaders = { Authorization = new("Bearer", Key) } };
    private readonly List<Process> _gone = [];
    private EmbeddedPostgres _postgres = null!;

    public Process Api { get; private set; } = null!;

    public List<Process> Workers { get; } = [];

    /// <summary>The hosts' files, as we see them.</summary>
    public string Data => disk?.Outside ?? Path.Combine(_home, "data");

    public HttpClient Http => _http;

    /// <summary>As environment variables of all hosts.</summary>
    public Dictionary<string, string> Settings { get; init; } = [];

    private string DataOfHosts => disk?.Inside ?? Data;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static string Samples => Path.Combine(AppContext.BaseDirectory, "samples");

    public async Task Start(int workers)
    {
        var database = Path.Combine(_home, "postgres");
        await ReadyCluster.CopyTo(database);
        _postgres = await EmbeddedPostgres.Start(database, Cancel);
        StartApi();
        for (var worker = 0; worker < workers; worker++)
            Workers.Add(StartWorker());
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        foreach (var process in (IEnumerable<Process>)[.. Workers, Api, .. _gone])
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(CancellationToken.None);
            process.Dispose();
        }
        await _postgres.EnsureRunning(CancellationToken.None);
        await _postgres.DisposeAsync();
        Directory.Delete(_home, recursive: true);
    }

    public Process AddWorker()
    {
        Workers.Add(StartWorker());
        return Workers[^1];
    }

    public void KillApi()
    {
        Api.Kill();
        _gone.Add(Api);
        StartApi();
    }

    public void KillWorker(int index)
    {
        Workers[index].Kill();
        _gone.Add(Workers[index]);
        Workers[index] = StartWorker();
    }

    public async Task KillPostgres(TimeSpan away)
    {
        Postmaster()?.Kill();
        await Task.Delay(away, Cancel);
        await _postgres.EnsureRunning(Cancel);
    }

    /// <summary>The trainers that run, of whichever worker.</summary>
    public List<Process> Trainers() => [.. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(name => name!.All(char.IsAsciiDigit)).Select(TrainerOf).OfType<Process>()];

    /// <summary>Sends a signal.</summary>
    public static void Signal(string signal, Process process) => Process.Start("kill", [$"-{signal}", process.Id.ToString(CultureInfo.InvariantCulture)]).WaitForExit();

    public async Task<string> Upload(string file, int rows) => (string)(await Send(() =>
    {
        var form = new MultipartFormDataContent { { new StringContent(string.Join('\n', File.ReadLines(Path.Combine(Samples, "sst2", file)).Take(rows + 1)) + "\n"), "file", file } };
        form.First().Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        return new(HttpMethod.Post, "/datasets") { Content = form };
    }))["id"]!;

    public async Task<string> Post(object spec) => (string)(await Send(() => new(HttpMethod.Post, "/jobs") { Content = JsonContent.Create(spec) }))["id"]!;

    public Task<JsonNode> Get(string path) => Send(() => new(HttpMethod.Get, path));

    /// <summary>One value of the database.</summary>
    public async Task<T> Query<T>(string sql)
    {
        while (true)
        {
            try
            {
                await using var connection = new NpgsqlConnection(_postgres.ConnectionString);
                await connection.OpenAsync(Cancel);
                await using var command = new NpgsqlCommand(sql, connection);
                return (T)(await command.ExecuteScalarAsync(Cancel))!;
            }
            catch (NpgsqlException error) when (error.IsTransient || error.InnerException is IOException)
            {
                Revive();
                NpgsqlConnection.ClearAllPools(); // Its connections died with the server.
                await Task.Delay(100, Cancel);
            }
        }
    }

    /// <summary>Asks again, with the same Idempotency-Key, until it is answered.</summary>
    private async Task<JsonNode> Send(Func<HttpRequestMessage> create)
    {
        var key = Guid.NewGuid().ToString();
        while (true)
        {
            try
            {
                using var request = create();
                request.Headers.Add("Idempotency-Key", key);
                using var answer = await _http.SendAsync(request, Cancel);
                var text = await answer.Content.ReadAsStringAsync(Cancel);
                if (answer.IsSuccessStatusCode)
                    return JsonNode.Parse(text)!;
                Assert.True(answer.StatusCode is HttpStatusCode.Conflict or HttpStatusCode.ServiceUnavailable or HttpStatusCode.InternalServerError, $"{answer.StatusCode} {text}");
            }
            catch (Exception error) when (error is HttpRequestException or IOException || (error is TaskCanceledException && !Cancel.IsCancellationRequested))
            {
                // The API is away, or has gone in the middle of the answer.
            }
            Revive();
            await Task.Delay(200, Cancel);
        }
    }

    /// <summary>What systemd or Kubernetes does: a host that found no database when it started has ended, and is started again.</summary>
    public void Revive()
    {
        if (Api.HasExited)
            KillApi();
        for (var worker = 0; worker < Workers.Count; worker++)
            if (Workers[worker].HasExited)
                KillWorker(worker);
    }

    private void StartApi() => Api = Start("Api", _http.BaseAddress!.OriginalString);

    private Process StartWorker() => Start("Worker", "http://127.0.0.1:0");

    private Process Start(string host, string url)
    {
        var configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var folder = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", $"FineTuneService.{host}", configuration));
        var program = Path.Combine(folder, $"FineTuneService.{host}");
        var start = disk?.StartOf(program, folder, Path.Combine(DataOfHosts, $"{host}.log")) ?? new(program) { WorkingDirectory = folder };
        start.RedirectStandardOutput = true;
        foreach (var (name, value) in (IEnumerable<(string, string)>)
        [
            ("ASPNETCORE_URLS", url), ("Access__BootstrapKey", Key), ("ConnectionStrings__Postgres", _postgres.ConnectionString), ("Storage__DataDirectory", DataOfHosts),
            ("Storage__ModelsDirectory", Path.Combine(Samples, "models")), ("Worker__MaxAttempts", "1000"), ("Worker__HeartbeatLease", "00:00:08"), ("Worker__RetryDelay", "00:00:00.5"),
            ("OMP_NUM_THREADS", "1"), .. Settings.Select(setting => (setting.Key, setting.Value)),
        ])
            start.Environment[name] = value;
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { }; // Read, or it would block once the pipe is full.
        process.BeginOutputReadLine();
        return process;
    }

    private Process? Postmaster()
    {
        var file = Path.Combine(_home, "postgres", "cluster", "postmaster.pid");
        try
        {
            return File.Exists(file) ? Process.GetProcessById(int.Parse(File.ReadLines(file).First(), CultureInfo.InvariantCulture)) : null;
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    private Process? TrainerOf(string? pid)
    {
        try
        {
            var line = File.ReadAllText($"/proc/{pid}/cmdline");
            return line.Contains("train\0" + Path.Combine(DataOfHosts, "runs"), StringComparison.Ordinal) ? Process.GetProcessById(int.Parse(pid!, CultureInfo.InvariantCulture)) : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null; // It has just ended.
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
