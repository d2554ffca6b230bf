using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FineTuneService.Client;

/// <summary>
/// A FineTuneService, over HTTP. Its operations are generated from the service's OpenAPI document and are named as there;
/// files that come and go, and events as they happen, are written by hand. Safe to share between threads.
/// </summary>
public partial class FineTuneClient : IDisposable
{
    private readonly bool _ownsConnection;

    /// <param name="baseAddress">Where the service listens, such as <c>http://127.0.0.1:5080</c>.</param>
    /// <param name="apiKey">A key of the service; null only for what needs none.</param>
    /// <param name="handler">What sends the requests; disposed with this.</param>
    public FineTuneClient(Uri baseAddress, string? apiKey, HttpMessageHandler? handler = null) : this(Connect(baseAddress, apiKey, handler)) => _ownsConnection = true;

    /// <summary>Posts a job's specification as it is written, short forms such as <c>"task": "text-classification"</c> included.</summary>
    /// <exception cref="FineTuneException">With every fault of the specification.</exception>
    public async Task<Job> CreateJobAsync(string json, CancellationToken cancellationToken = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "jobs") { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        using var response = await SendAsync(request, cancellationToken).ConfigureAwait(false);
        return await ReadAsync<Job>(response, cancellationToken).ConfigureAwait(false);
    }

    public void Dispose()
    {
        if (_ownsConnection)
            _httpClient.Dispose();
        GC.SuppressFinalize(this);
    }

    static partial void UpdateJsonSerializerSettings(JsonSerializerOptions settings) => settings.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;

    private static HttpClient Connect(Uri baseAddress, string? apiKey, HttpMessageHandler? handler)
    {
        var root = baseAddress.AbsoluteUri.EndsWith('/') ? baseAddress : new Uri(baseAddress.AbsoluteUri + "/");
        // A stream of events has no end to wait for; whoever calls has a token to give up with.
        var client = new HttpClient(handler ?? new SocketsHttpHandler { PooledConnectionLifetime = TimeSpan.FromMinutes(5) }) { BaseAddress = root, Timeout = Timeout.InfiniteTimeSpan };
        if (apiKey is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", apiKey);
        return client;
    }

    /// <summary>The answer's headers have come, its content may follow.</summary>
    /// <exception cref="FineTuneException">When it is a refusal.</exception>
    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var response = await _httpClient.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw new FineTuneException("", (int)response.StatusCode, await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false), response.Headers.ToDictionary(header => header.Key, header => header.Value), null);
    }

    private async Task<T> ReadAsync<T>(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var content = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        return (await JsonSerializer.DeserializeAsync<T>(content, JsonSerializerSettings, cancellationToken).ConfigureAwait(false))!;
    }

    private static string Segment(string text) => Uri.EscapeDataString(text);
}
