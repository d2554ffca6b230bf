using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Postgres;
using FineTuneService.Storage.Tests;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FineTuneService.Worker.Tests;

/// <summary>A real database, real folders and real worker processes: everything of the service but the API.</summary>
public sealed class House : IAsyncLifetime
{
    private readonly string _home = Directory.CreateTempSubdirectory("finetune-house-").FullName;
    private string _data;
    private readonly List<Process> _hosts = [];
    private EmbeddedPostgres _postgres = null!;
    private ServiceProvider _services = null!;

    public House() => _data = _home;

    public string ConnectionString { get; private set; } = "";

    public StorageSettings Storage => new() { DataDirectory = _data };

    public JobStates States => _services.GetRequiredService<JobStates>();

    public JobRequests Requests => _services.GetRequiredService<JobRequests>();

    private static string Samples => Path.Combine(AppContext.BaseDirectory, "samples");

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var database = Path.Combine(_home, "postgres");
        await ReadyCluster.CopyTo(database);
        _postgres = await EmbeddedPostgres.Start(database);
        OpenDatabase(_postgres.ConnectionString);
        await AddDataset("ds_train", "train.tsv", 400);
        await AddDataset("ds_dev", "dev.tsv", 64);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var host in _hosts)
        {
            host.Kill(); // A worker's trainer dies with it.
            await host.WaitForExitAsync();
            host.Dispose();
        }
        await _services.DisposeAsync();
        await _postgres.DisposeAsync();
        Directory.Delete(_home, recursive: true);
        if (_data != _home)
            Directory.Delete(_data, recursive: true);
    }

    /// <summary>From now on everything is about another database of the same server, and another data folder, which goes with the house.</summary>
    public async Task MoveTo(string connectionString, string data)
    {
        await _services.DisposeAsync();
        _data = data;
        OpenDatabase(connectionString);
    }

    /// <param name="settings">More settings, such as <c>Worker__TrainerPath</c>.</param>
    public Process StartWorker(params (string Name, string Value)[] settings) => StartWorker(_ => { }, settings);

    /// <param name="hear">Gets each line of its log.</param>
    public Process StartWorker(Action<string> hear, (string Name, string Value)[] settings) => Start("Worker", hear, settings);

    public Process StartApi(string url, params (string Name, string Value)[] settings) => Start("Api", _ => { }, [("ASPNETCORE_URLS", url), .. settings]);

    private Process Start(string host, Action<string> hear, (string Name, string Value)[] settings)
    {
        var configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var folder = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", $"FineTuneService.{host}", configuration));
        var start = new ProcessStartInfo(Path.Combine(folder, $"FineTuneService.{host}")) { WorkingDirectory = folder, RedirectStandardOutput = true };
        start.Environment["ASPNETCORE_URLS"] = "http://127.0.0.1:0";
        start.Environment["ConnectionStrings__Postgres"] = ConnectionString;
        start.Environment["Storage__DataDirectory"] = _data;
        start.Environment["Storage__ModelsDirectory"] = Path.Combine(Samples, "models");
        foreach (var (name, value) in settings)
            start.Environment[name] = value;
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => hear(line.Data ?? "");
        process.BeginOutputReadLine();
        _hosts.Add(process);
        return process;
    }

    /// <param name="scheduling">As a specification has it.</param>
    /// <param name="change">What else is different.</param>
    public async Task<string> Enqueue(
        int steps, string baseModel = "tiny-bert-en", string? revision = null, JobScheduling? scheduling = null, string? reportTo = null, Action<JsonNode>? change = null)
    {
        var spec = JsonNode.Parse(Spec(steps, 50, baseModel, revision))!;
        change?.Invoke(spec);
        spec["training"]!["report_to"] = reportTo;
        spec["scheduling"] = JsonSerializer.SerializeToNode(scheduling ?? new(), SnakeCaseJson.Options);
        var job = NewJob.From(Project.Default, spec.ToJsonString(), "[]", TimeProvider.System.GetUtcNow());
        await _services.GetRequiredService<JobQueue>().Enqueue(job, Cancel);
        return job.Id;
    }

    /// <summary>A resolved specification.</summary>
    public static string Spec(int steps, int every, string baseModel = "tiny-bert-en", string? revision = null) => JsonSerializer.Serialize(
        new
        {
            BaseModel = baseModel,
            Revision = revision,
            Task = "text-classification",
            Dataset = new { Train = "ds_train", Validation = "ds_dev" },
            Training = new
            {
                MaxSteps = steps,
                PerDeviceTrainBatchSize = 8,
                MaxLength = 32,
                LoggingSteps = 1,
                EvalStrategy = "steps",
                EvalSteps = every,
                SaveStrategy = "steps",
                SaveSteps = every,
                MetricForBestModel = "loss",
                GreaterIsBetter = false,
            },
        },
        SnakeCaseJson.Options);

    /// <summary>Polls a job until <paramref name="wanted"/> holds; fails when it ends otherwise.</summary>
    public Task<Job> WaitFor(string id, Func<Job, bool> wanted) => WaitUntil(id, job =>
    {
        if (wanted(job))
            return true;
        Assert.False(job.Status.IsTerminal(), $"{job.Status}: {job.Reason} {job.Faults}");
        return false;
    });

    /// <summary>Polls a job until <paramref name="wanted"/> holds, however it ends.</summary>
    public async Task<Job> WaitUntil(string id, Func<Job, bool> wanted)
    {
        while (true)
        {
            await using var db = await Database();
            var job = await db.Jobs.AsNoTracking().SingleAsync(row => row.Id == id, Cancel);
            if (wanted(job))
                return job;
            await Task.Delay(50, Cancel);
        }
    }

    /// <summary>Steps and values of <c>loss</c> in the order of the log.</summary>
    public async Task<List<Metric>> Losses(string id)
    {
        await using var db = await Database();
        return await db.Metrics.AsNoTracking().Where(metric => metric.JobId == id && metric.Name == "loss").OrderBy(metric => metric.Seq).ToListAsync(Cancel);
    }

    public Task<FineTuneDb> Database() => _services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);

    public async Task StartPostgresAgain()
    {
        await _postgres.EnsureRunning(Cancel);
        _services.GetRequiredService<NpgsqlDataSource>().Clear(); // Its pooled connections died with the server.
    }

    public void KillPostgres() => Process.GetProcessById(int.Parse(File.ReadLines(Path.Combine(_home, "postgres", "cluster", "postmaster.pid")).First(), CultureInfo.InvariantCulture)).Kill();

    /// <summary>The trainer that works in a run's folder.</summary>
    public Process Trainer(string id) => Process.GetProcessesByName("finetune").Single(process => File.ReadAllText($"/proc/{process.Id}/cmdline").Contains(id, StringComparison.Ordinal));

    private void OpenDatabase(string connectionString)
    {
        ConnectionString = connectionString;
        _services = new ServiceCollection().AddSingleton(TimeProvider.System).AddLogging().AddFineTuneDatabase(connectionString).BuildServiceProvider();
    }

    private async Task AddDataset(string id, string file, int rows)
    {
        var dataset = new Dataset { Id = id, Name = file, FileName = file, Format = "tsv", Sha256 = "", Bytes = 0, Rows = rows, Profile = "{}", CreatedAt = TimeProvider.System.GetUtcNow() };
        Directory.CreateDirectory(Storage.DatasetsDirectory);
        await File.WriteAllLinesAsync(Storage.DatasetFile(dataset), File.ReadLines(Path.Combine(Samples, "sst2", file)).Take(rows + 1), Cancel);
        await using var db = await Database();
        db.Datasets.Add(dataset);
        await db.SaveChangesAsync(Cancel);
    }
}
