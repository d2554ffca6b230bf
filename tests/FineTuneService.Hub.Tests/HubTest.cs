using System.Buffers.Binary;
using System.Text;
using FineTuneService.Contracts;
using Microsoft.AspNetCore.Http;

namespace FineTuneService.Hub.Tests;

/// <summary>A local hub with a small model, and an empty cache; one of each for every test.</summary>
public abstract class HubTest : IAsyncLifetime
{
    protected const string Id = "acme/tiny-bert";

    private readonly List<ModelHub> _clients = [];

    protected LocalHub Server { get; private set; } = null!;

    protected string Folder { get; } = Directory.CreateTempSubdirectory("finetune-hub-").FullName;

    protected string Cache => Path.Combine(Folder, "cache");

    /// <summary>main at the beginning.</summary>
    protected string Commit { get; private set; } = "";

    protected static Dictionary<string, byte[]> TinyBert { get; } = LocalHub.FilesOf(Path.Combine(AppContext.BaseDirectory, "models", "tiny-bert-en"));

    protected static byte[] Weights => TinyBert["model.safetensors"];

    protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        Server = await LocalHub.Start();
        Commit = Server.Push(Id, TinyBert);
    }

    public async ValueTask DisposeAsync()
    {
        _clients.ForEach(client => client.Dispose());
        await Server.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    protected ModelHub Hub(string? token = null, bool offline = false, long maxBytes = 1 << 30, int retries = 3, TimeSpan? longestWait = null)
    {
        var hub = new ModelHub(new()
        {
            Endpoint = Server.Endpoint,
            CacheDirectory = Cache,
            Token = token,
            Offline = offline,
            MaxBytes = maxBytes,
            Retries = retries,
            RetryDelay = TimeSpan.FromMilliseconds(1),
            LongestWait = longestWait ?? TimeSpan.FromSeconds(10),
            StallTimeout = TimeSpan.FromSeconds(5),
        });
        _clients.Add(hub);
        return hub;
    }

    protected static HubModel Model(string? revision = null, string id = Id) => HubModel.Parse(id, revision);

    protected Task<HubSnapshot> Fetch(ModelHub? hub = null, string? revision = null) => (hub ?? Hub()).Fetch(Model(revision), new(), Cancel);

    protected static async Task<Fault> FaultOf(Func<Task> act) => Assert.Single((await Assert.ThrowsAsync<FaultException>(act)).Faults);

    protected string Blob(string name) => Path.Combine(Cache, "models--acme--tiny-bert", "blobs", LocalHub.Etag(name, TinyBert[name]));

    protected static Task<bool> Refuse(HttpContext context, int status)
    {
        context.Response.StatusCode = status;
        return Task.FromResult(true);
    }

    /// <summary>A safetensors file with one tensor of this many bytes.</summary>
    protected static byte[] Safetensors(string tensor, int bytes)
    {
        var header = Encoding.UTF8.GetBytes($$"""{"{{tensor}}":{"dtype":"U8","shape":[{{bytes}}],"data_offsets":[0,{{bytes}}]} }""");
        var file = new byte[8 + header.Length + bytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)header.Length);
        header.CopyTo(file, 8);
        Random.Shared.NextBytes(file.AsSpan(8 + header.Length));
        return file;
    }
}
