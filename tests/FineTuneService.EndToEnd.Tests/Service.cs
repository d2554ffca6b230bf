using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using FineTuneService.Storage.Tests;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>The whole service as a stranger runs it: API and workers as processes, the embedded Postgres, a data folder of its own.</summary>
public sealed class Service : IAsyncLifetime
{
    private readonly List<Process> _processes = [];
    private readonly List<string> _logs = [];

    /// <summary>As environment variables of all hosts.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    public string Data { get; } = Directory.CreateTempSubdirectory("finetune-e2e-").FullName;

    /// <summary>What the hosts have written to their outputs.</summary>
    public IReadOnlyList<string> Logs => _logs;

    public static string Samples { get; } = Path.Combine(AppContext.BaseDirectory, "samples");

    public const string Key = "ft_of_the_tests_which_nobody_can_guess_0123";

    public HttpClient Http { get; } = new(new SocketsHttpHandler { MaxConnectionsPerServer = 1000 }) { Timeout = TimeSpan.FromMinutes(2) };

    public Process Api => _processes[0];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var url = $"http://127.0.0.1:{FreePort()}";
        Http.BaseAddress = new Uri(url);
        Http.DefaultRequestHeaders.Authorization = new("Bearer", Key);
        await ReadyCluster.CopyTo(Path.Combine(Data, "postgres"));
        Start("Api", url);
        await WaitUntilReady();
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        // The API may own the database: it goes last.
        foreach (var process in Enumerable.Reverse(_processes))
        {
            if (!process.HasExited)
                Process.Start("kill", ["-TERM", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]).WaitForExit();
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            try
            {
                await process.WaitForExitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
            }
            process.Dispose();
        }
        Directory.Delete(Data, recursive: true);
    }

    public Process StartWorker() => Start("Worker", $"http://127.0.0.1:{FreePort()}");

    public Task<string> Upload(string file, int rows) => Upload("sst2", file, rows, header: 1);

    /// <summary>The first rows of a sample file.</summary>
    public async Task<string> Upload(string sample, string file, int rows, int header, string? name = null)
    {
        var cut = string.Join('\n', File.ReadLines(Path.Combine(Samples, sample, file)).Take(rows + header)) + "\n";
        using var form = new MultipartFormDataContent { { new StringContent(cut), "file", file } };
        if (name is not null)
            form.Add(new StringContent(name), "name");
        form.First().Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using var response = await Http.PostAsync("/datasets", form, Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.Created, await response.Content.ReadAsStringAsync(Cancel));
        return (await response.Content.ReadFromJsonAsync<JsonObject>(Cancel))!["id"]!.GetValue<string>();
    }

    public Task<string> PostJob(object dataset, object training) => PostJob(new { base_model = "tiny-bert-en", task = "text-classification", dataset, training });

    public async Task<string> PostJob(object spec) => (await Post("/jobs", spec, HttpStatusCode.Created))["id"]!.GetValue<string>();

    public async Task<JsonObject> Post(string path, object body, HttpStatusCode expected)
    {
        using var response = await Http.PostAsJsonAsync(path, body, Cancel);
        Assert.True(response.StatusCode == expected, await response.Content.ReadAsStringAsync(Cancel));
        return (await response.Content.ReadFromJsonAsync<JsonObject>(Cancel))!;
    }

    public async Task<JsonObject> Get(string path) => (await Http.GetFromJsonAsync<JsonObject>(path, Cancel))!;

    /// <summary>Polls a job until <paramref name="wanted"/> holds; fails when the job ends otherwise.</summary>
    public async Task<JsonObject> WaitForJob(string id, Func<JsonObject, bool> wanted)
    {
        while (true)
        {
            var job = await Get($"/jobs/{id}");
            if (wanted(job))
                return job;
            Assert.False(job["status"]!.GetValue<string>() is "succeeded" or "failed" or "cancelled", job.ToJsonString());
            await Task.Delay(100, Cancel);
        }
    }

    public Task<JsonObject> WaitForStatus(string id, string status) => WaitForJob(id, job => job["status"]!.GetValue<string>() == status);

    /// <summary>Every metric row of a job, over all pages.</summary>
    public async Task<List<(long Seq, int Step, string Name, double Value)>> Metrics(string id)
    {
        var rows = new List<(long, int, string, double)>();
        for (long after = 0; ;)
        {
            var page = await Get($"/jobs/{id}/metrics?after={after}&limit=1000");
            var data = page["data"]!.AsArray();
            rows.AddRange(data.Select(row => (row!["seq"]!.GetValue<long>(), row["step"]!.GetValue<int>(), row["name"]!.GetValue<string>(), row["value"]!.GetValue<double>())));
            if (page["has_more"]?.GetValue<bool>() != true)
                return rows;
            after = data[^1]!["seq"]!.GetValue<long>();
        }
    }

    private Process Start(string host, string url)
    {
        var configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var folder = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", $"FineTuneService.{host}", configuration));
        var start = new ProcessStartInfo(Path.Combine(folder, $"FineTuneService.{host}")) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["ASPNETCORE_URLS"] = url;
        start.Environment["Access__BootstrapKey"] = Key;
        start.Environment["Storage__DataDirectory"] = Data;
        start.Environment["Storage__ModelsDirectory"] = Path.Combine(Samples, "models");
        start.Environment["Datasets__ReportOnUpload"] = "false";
        foreach (var (name, value) in Settings)
            start.Environment[name] = value;
        var process = Process.Start(start)!;
        _logs.Add(Path.Combine(AppContext.BaseDirectory, $"{host}-{process.Id}.log"));
        var log = new StreamWriter(_logs[^1]) { AutoFlush = true };
        process.OutputDataReceived += (_, line) => Write(log, line.Data);
        process.ErrorDataReceived += (_, line) => Write(log, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _processes.Add(process);
        return process;
    }

    private static void Write(StreamWriter log, string? line)
    {
        lock (log)
            log.WriteLine(line);
    }

    private async Task WaitUntilReady()
    {
        while (true)
        {
            Assert.False(_processes[0].HasExited, "The API ended while starting; its log lies beside the tests.");
            try
            {
                using var answer = await Http.GetAsync("/health/live", Cancel);
                if (answer.IsSuccessStatusCode)
                    return;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }
            await Task.Delay(100, Cancel);
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
