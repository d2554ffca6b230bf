using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Hub.Tests;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

[assembly: AssemblyFixture(typeof(FineTuneService.Api.Tests.Api))]

namespace FineTuneService.Api.Tests;

/// <summary>The API on Kestrel with the embedded Postgres and a data folder of its own, once for all tests.</summary>
public sealed class Api : IAsyncLifetime
{
    private readonly WebApplicationFactory<Program> _factory = new();
    private WebApplicationFactory<Program>? _configured;

    public static string Output { get; } = AppContext.BaseDirectory;

    public static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Of the default project, with the scope admin.</summary>
    public const string Key = "ft_of_the_tests_which_nobody_can_guess_0123";

    public const int ModelBytes = 20_000_000;

    /// <summary>What the service takes for the Hugging Face hub.</summary>
    public LocalHub Hub { get; private set; } = null!;

    public string Data { get; } = Directory.CreateTempSubdirectory("finetune-api-").FullName;

    public string Models => Path.Combine(Data, "models");

    public HttpClient Http { get; private set; } = null!;

    public IServiceProvider Services => _configured!.Services;

    public StorageSettings Storage => Services.GetRequiredService<StorageSettings>();

    public async ValueTask InitializeAsync()
    {
        Hub = await LocalHub.Start();
        CopyModel("tiny-bert-en");
        CopyModel("tiny-llama");
        _configured = _factory.WithWebHostBuilder(host => host
            .UseSetting("urls", "http://127.0.0.1:0") // Several runs beside each other.
            .UseSetting("Storage:DataDirectory", Data)
            .UseSetting("Storage:ModelsDirectory", Models)
            .UseSetting("Datasets:MaxBytes", "2000000")
            .UseSetting("Datasets:ReportOnUpload", "false")
            .UseSetting("BaseModels:MaxBytes", $"{ModelBytes}")
            .UseSetting("Hub:Endpoint", Hub.Endpoint.ToString())
            .UseSetting("Hub:CacheDirectory", Path.Combine(Data, "hub"))
            .UseSetting("Hub:Offline", "false")
            .UseSetting("Hub:Retries", "1")
            .UseSetting("Hub:RetryDelay", "00:00:00.001")
            .UseSetting("Access:BootstrapKey", Key)
            .UseSetting("Predictor:QueueLength", "4")
            .UseSetting("Webhooks:MaxAttempts", "3")
            .UseSetting("Webhooks:FirstRetry", "00:00:00.02")
            .UseSetting("Webhooks:PollInterval", "00:00:00.05")
            .UseSetting("Webhooks:AllowPrivateAddresses", "true")
            .UseSetting("Worker:TrainerPath", Path.Combine(Output, "Fixtures", "predictor.sh"))
            .UseSetting("Serilog:MinimumLevel:Default", "Fatal"));
        _configured.UseKestrel(0);
        _configured.StartServer();
        Http = _configured.CreateClient();
        Http.DefaultRequestHeaders.Authorization = new("Bearer", Key);
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _configured!.DisposeAsync();
        await _factory.DisposeAsync();
        await Hub.DisposeAsync();
        Directory.Delete(Data, recursive: true);
    }

    /// <summary>A base model to spoil.</summary>
    public string CopyModel(string name)
    {
        var folder = Directory.CreateDirectory(Path.Combine(Models, name));
        var source = Path.Combine(Output, "models", name);
        foreach (var file in Directory.EnumerateFiles(Directory.Exists(source) ? source : Path.Combine(Output, "models", "tiny-bert-en")))
            File.Copy(file, Path.Combine(folder.FullName, Path.GetFileName(file)), overwrite: true);
        return folder.FullName;
    }

    public async Task<T> InDatabase<T>(Func<FineTuneDb, Task<T>> act)
    {
        await using var db = await Services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);
        return await act(db);
    }

    /// <summary>An admin's client in a project that no other test sees.</summary>
    public async Task<HttpClient> NewProject()
    {
        var project = await Post("/projects", """{"name": "of one test"}""", HttpStatusCode.Created);
        var client = _configured!.CreateClient();
        client.DefaultRequestHeaders.Authorization = Http.DefaultRequestHeaders.Authorization;
        client.DefaultRequestHeaders.Add("FineTune-Project", (string)project["id"]!);
        return client;
    }

    public async Task<JsonObject> Get(string path, HttpStatusCode expected = HttpStatusCode.OK) => await Read(await Http.GetAsync(path, Cancel), expected);

    public async Task<JsonObject> Post(string path, string json, HttpStatusCode expected) =>
        await Read(await Http.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"), Cancel), expected);

    public async Task<JsonObject> Upload(string fileName, string content, string? name = null, HttpStatusCode expected = HttpStatusCode.Created) =>
        await Read(await Http.PostAsync("/datasets", Form(fileName, Encoding.UTF8.GetBytes(content), name), Cancel), expected);

    public static MultipartFormDataContent Form(string fileName, byte[] content, string? name = null)
    {
        var form = new MultipartFormDataContent { { new ByteArrayContent(content), "file", fileName } };
        if (name is not null)
            form.Add(new StringContent(name), "name");
        return form;
    }

    /// <summary>The answer's JSON; a refusal must be a problem (RFC 9457), or of OpenAI's clients the error that they read.</summary>
    public static async Task<JsonObject> Read(HttpResponseMessage response, HttpStatusCode expected)
    {
        using (response)
        {
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.StatusCode == expected, $"{(int)response.StatusCode} {text}");
            if ((int)expected < 400)
                return text.Length == 0 ? [] : JsonNode.Parse(text)!.AsObject();
            if (response.RequestMessage!.RequestUri!.AbsolutePath.StartsWith("/v1/", StringComparison.Ordinal))
                return Error(response, text);
            Assert.Equal(new MediaTypeHeaderValue("application/problem+json"), response.Content.Headers.ContentType);
            var problem = JsonNode.Parse(text)!.AsObject();
            Assert.Equal((int)expected, (int)problem["status"]!);
            return problem;
        }
    }

    private static JsonObject Error(HttpResponseMessage response, string text)
    {
        Assert.Equal("application/json", response.Content.Headers.ContentType!.MediaType);
        Assert.NotEmpty(response.Headers.GetValues("x-request-id").Single());
        var error = Assert.Single(JsonNode.Parse(text)!.AsObject()).Value!.AsObject();
        Assert.Equal(["message", "type", "param", "code"], error.Select(member => member.Key));
        Assert.NotEmpty((string)error["message"]!);
        Assert.NotEmpty((string)error["type"]!);
        return error;
    }

    /// <summary>A dataset and a job on it, queued.</summary>
    public async Task<string> PostJob(string extra = "")
    {
        var dataset = (string)(await Upload("rows.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;
        return (string)(await Post("/jobs", $$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{dataset}}"} {{extra}}}""", HttpStatusCode.Created))["id"]!;
    }

    /// <summary>A job as the worker leaves it, in whatever state.</summary>
    public async Task<string> PutJob(JobStatus status, string spec = """{"base_model": "tiny-bert-en", "task": {"type": "text-classification"}, "dataset": {"train": "ds_0"}}""")
    {
        var id = Ids.NewJob();
        await InDatabase(async db =>
        {
            db.Jobs.Add(new Job
            {
                Id = id,
                Status = status,
                CreatedAt = TimeProvider.System.GetUtcNow(),
                Resolutions = "[]",
                Attempt = 1,
                Spec = spec,
            });
            return await db.SaveChangesAsync(Cancel);
        });
        return id;
    }

    /// <summary>A job that succeeded, and the empty folder of its only checkpoint.</summary>
    public async Task<(string Id, string Folder)> PutCheckpoint(string? spec = null)
    {
        var id = spec is null ? await PutJob(JobStatus.Succeeded) : await PutJob(JobStatus.Succeeded, spec);
        var folder = Directory.CreateDirectory(Storage.Run(id).Checkpoint(7)).FullName;
        await InDatabase(db =>
        {
            db.Checkpoints.Add(new Checkpoint
            {
                JobId = id,
                Step = 7,
                Epoch = 1,
                Path = "checkpoints/checkpoint-7",
                Bytes = 1,
                Best = true,
                Final = true,
                Metrics = "{}",
                CreatedAt = TimeProvider.System.GetUtcNow(),
            });
            return db.SaveChangesAsync(Cancel);
        });
        return (id, folder);
    }

    public static IEnumerable<string> Pointers(JsonObject problem) => problem["faults"]!.AsArray().Select(fault => (string)fault!["pointer"]!);
}
