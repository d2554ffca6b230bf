using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Quickstart;

/// <summary>The few requests that the quickstart needs. A refusal becomes a <see cref="FaultException"/> with the service's own words.</summary>
internal sealed class ServiceClient(Uri url) : IDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler()) { BaseAddress = url };

    public async Task WaitUntilReady(TimeSpan patience, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(patience);
        while (!await IsReady(limit.Token))
            await Task.Delay(TimeSpan.FromMilliseconds(200), limit.Token);
    }

    /// <summary>Every request comes with this key from now on.</summary>
    public string Key
    {
        set => _http.DefaultRequestHeaders.Authorization = new("Bearer", value);
    }

    public async Task<JsonNode> Get(string path, CancellationToken cancel) => await Read(await _http.GetAsync(path, cancel), cancel);

    public async Task<JsonNode> Post(string path, string json, CancellationToken cancel) =>
        await Read(await _http.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"), cancel), cancel);

    /// <summary>Uploads the file under this name, unless the service has the very same bytes.</summary>
    public async Task<(string Id, long Rows, bool Known)> EnsureDataset(string path, string name, CancellationToken cancel)
    {
        await using var file = File.OpenRead(path);
        var sha256 = Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel));
        var known = (await Get("datasets", cancel))["data"]!.AsArray().FirstOrDefault(dataset => (string?)dataset!["sha256"] == sha256);
        if (known is not null)
            return ((string)known["id"]!, (long)known["rows"]!, true);

        file.Position = 0;
        using var form = new MultipartFormDataContent
        {
            { new StringContent(name), "name" },
            { new StreamContent(file), "file", Path.GetFileName(path) },
        };
        var made = await Read(await _http.PostAsync("datasets", form, cancel), cancel);
        return ((string)made["id"]!, (long)made["rows"]!, false);
    }

    public void Dispose() => _http.Dispose();

    private async Task<bool> IsReady(CancellationToken cancel)
    {
        try
        {
            using var answer = await _http.GetAsync("health/ready", cancel);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false; // Not listening yet.
        }
    }

    private static async Task<JsonNode> Read(HttpResponseMessage answer, CancellationToken cancel)
    {
        using (answer)
        {
            var text = await answer.Content.ReadAsStringAsync(cancel);
            if (!answer.IsSuccessStatusCode)
                throw new FaultException($"{answer.RequestMessage!.Method} {answer.RequestMessage.RequestUri!.PathAndQuery}", $"{(int)answer.StatusCode}", text, "The service's log says more.");
            return JsonNode.Parse(text)!;
        }
    }
}
