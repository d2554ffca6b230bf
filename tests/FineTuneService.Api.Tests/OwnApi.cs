using System.Diagnostics;
using System.Net.Http.Headers;
using FineTuneService.Storage.Postgres;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

/// <summary>An API process of a test's own, for settings that would disturb all others; on the database that they share.</summary>
internal sealed class OwnApi : IAsyncDisposable
{
    private readonly Process _process;
    private readonly List<HttpClient> _clients = [];

    private OwnApi(Process process, string data, Uri address) => (_process, Data, Address) = (process, data, address);

    public string Data { get; }

    public Uri Address { get; }

    /// <summary>The most that it has had in memory so far.</summary>
    public long PeakMemory
    {
        get
        {
            _process.Refresh();
            return _process.PeakWorkingSet64;
        }
    }

    public static async Task<OwnApi> Start(Api api, params IEnumerable<(string Name, string Value)> settings)
    {
        var data = Directory.CreateTempSubdirectory("finetune-own-").FullName;
        var process = ApiProcess.Start(data, api.Services.GetRequiredService<EmbeddedPostgres>().ConnectionString, null, [("Storage__ModelsDirectory", api.Models), .. settings]);
        return new(process, data, new(await ApiProcess.ListeningUrl(process)));
    }

    /// <param name="token">A key, or another bearer token.</param>
    public HttpClient Client(string? token)
    {
        var client = new HttpClient(new SocketsHttpHandler()) { BaseAddress = Address };
        client.DefaultRequestHeaders.Authorization = token is null ? null : new AuthenticationHeaderValue("Bearer", token);
        _clients.Add(client);
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
            client.Dispose();
        _process.Kill();
        await _process.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
        Directory.Delete(Data, recursive: true);
    }
}
