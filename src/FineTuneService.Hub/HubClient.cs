using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Hub;

/// <summary>An answer of the hub, or of the host that it sent us to, with what the hub itself said on the way.</summary>
internal sealed class HubAnswer(HttpResponseMessage response, HubFile said) : IDisposable
{
    public HttpResponseMessage Response => response;

    /// <summary>Size and etag by the hub's headers; the content-addressed name, not the other host's.</summary>
    public HubFile Said => said;

    public void Dispose() => response.Dispose();
}

/// <summary>
/// The hub's routes, one try each. The protocol is that of huggingface_hub's <c>file_download.py</c>: <c>resolve</c> answers small files itself and sends
/// to another host for large ones, naming commit, etag and size in <c>X-Repo-Commit</c>, <c>X-Linked-Etag</c> and <c>X-Linked-Size</c>.
/// </summary>
internal sealed class HubClient : IDisposable
{
    private const int MostHops = 5;
    private const long LongestListing = 64 << 20;
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    private readonly HubSettings _settings;
    private readonly HttpClient _http;

    public HubClient(HubSettings settings)
    {
        _settings = settings;
        // Redirects are followed here, by hand: the token stays with the endpoint, and not every host is allowed.
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = ConnectTimeout, PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        _http = new HttpClient(handler) { Timeout = settings.StallTimeout }; // Until the headers are there; bodies have their own.
        _http.DefaultRequestHeaders.UserAgent.Add(new("FineTuneService", "1.0"));
        _http.DefaultRequestHeaders.AcceptEncoding.Add(new("identity")); // Or sizes and ranges would be those of a compressed body.
    }

    /// <exception cref="FaultException">When the hub has no such model or revision, or does not give it.</exception>
    /// <exception cref="PassingFailureException">When network or hub fail.</exception>
    public async Task<HubListing> List(HubModel model, CancellationToken cancel)
    {
        using var answer = await Send(HttpMethod.Get, $"api/models/{model.Id}/revision/{Uri.EscapeDataString(model.Revision)}?blobs=true", null, null, cancel);
        if (!answer.Response.IsSuccessStatusCode)
            throw HubRefusal.Of(answer.Response, model, null, _settings);
        var body = await ReadBody(answer.Response, LongestListing, cancel);
        try
        {
            using var json = JsonDocument.Parse(body);
            var commit = json.RootElement.GetProperty("sha").GetString();
            if (commit is null || !HubModel.IsCommit(commit))
                throw new JsonException("sha is no commit");
            if (HubModel.IsCommit(model.Revision) && commit != model.Revision)
                throw new JsonException($"asked for commit {model.Revision}, it tells of {commit}");
            return new(model, commit, [.. json.RootElement.GetProperty("siblings").EnumerateArray().Select(Sibling)]);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FaultException("/base_model", model.Id, $"{_settings.Endpoint.Host} does not answer as a hub does: {error.Message}", "Check Hub:Endpoint.");
        }
    }

    /// <summary>Asks for size and etag, where the listing lacks them.</summary>
    public async Task<HubFile> Describe(HubListing listing, HubFile file, CancellationToken cancel)
    {
        using var answer = await Send(HttpMethod.Head, Resolve(listing, file), listing.Commit, null, cancel);
        if (!answer.Response.IsSuccessStatusCode && !IsRedirect(answer.Response))
            throw HubRefusal.Of(answer.Response, listing.Model, file.Path, _settings);
        return new(file.Path, file.Size ?? answer.Said.Size, file.Etag ?? answer.Said.Etag);
    }

    /// <summary>Opens a file's bytes.</summary>
    /// <param name="range">Null for the whole file; else the answer is 206, or 200 from a server that knows no ranges.</param>
    /// <param name="same">Of an earlier answer: a range only if the file is still the same.</param>
    public async Task<HubAnswer> Open(HubListing listing, HubFile file, RangeHeaderValue? range, EntityTagHeaderValue? same, CancellationToken cancel)
    {
        var answer = await Send(HttpMethod.Get, Resolve(listing, file), listing.Commit, request =>
        {
            request.Range = range;
            request.IfRange = range is null || same is null ? null : new(same);
        }, cancel);
        try
        {
            if (answer.Response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
                throw HubRefusal.Damaged(file.Path, $"The hub has fewer than the {file.Size} bytes that it lists.");
            // Another host refuses a link that has run out; the hub gives a new one when it is asked again.
            if (!answer.Response.IsSuccessStatusCode && answer.Response.RequestMessage!.RequestUri is { } address && !_settings.IsEndpoint(address))
                throw new PassingFailureException($"{address.Host} answers with status {(int)answer.Response.StatusCode}.");
            if (!answer.Response.IsSuccessStatusCode)
                throw HubRefusal.Of(answer.Response, listing.Model, file.Path, _settings);
            if (answer.Said.Etag is { } etag && etag != file.Etag)
                throw HubRefusal.Damaged(file.Path, $"The hub gives this file as {etag} and lists it as {file.Etag}.");
            if (answer.Said.Size is { } size && size != file.Size)
                throw HubRefusal.Damaged(file.Path, $"The hub gives this file {size} bytes and lists it with {file.Size}.");
            return answer;
        }
        catch
        {
            answer.Dispose();
            throw;
        }
    }

    public void Dispose() => _http.Dispose();

    private static string Resolve(HubListing listing, HubFile file) =>
        $"{listing.Model.Id}/resolve/{listing.Commit}/{string.Join('/', file.Path.Split('/').Select(Uri.EscapeDataString))}";

    private static HubFile Sibling(JsonElement sibling)
    {
        var lfs = sibling.TryGetProperty("lfs", out var found) && found.ValueKind == JsonValueKind.Object ? found : default;
        var source = lfs.ValueKind == JsonValueKind.Object ? lfs : sibling;
        return new(
            sibling.GetProperty("rfilename").GetString() ?? throw new JsonException("a file without a name"),
            source.TryGetProperty("size", out var size) && size.TryGetInt64(out var bytes) && bytes >= 0 ? bytes : null,
            source.TryGetProperty(lfs.ValueKind == JsonValueKind.Object ? "sha256" : "blobId", out var etag) ? ContentName(etag.GetString()) : null);
    }

    /// <param name="commit">What the hub must name as the file's commit.</param>
    /// <param name="configure">Set on every request of the chain.</param>
    private async Task<HubAnswer> Send(HttpMethod method, string path, string? commit, Action<HttpRequestHeaders>? configure, CancellationToken cancel)
    {
        var address = new Uri(_settings.Endpoint, path);
        var said = new HubFile(path, null, null);
        for (var hop = 0; ; hop++)
        {
            var response = await SendOnce(method, address, configure, cancel);
            try
            {
                if (_settings.IsEndpoint(address))
                    said = Read(response, commit, said);
                if (PassingFailureException.IsPassing(response.StatusCode))
                    throw new PassingFailureException($"{address.Host} answers with status {(int)response.StatusCode}.", RetryAfter(response));
                if (!IsRedirect(response) || response.Headers.Location is not { } location)
                    return new(response, said);
                var next = new Uri(address, location);
                // What a HEAD asks for stands in the hub's own answer; only a renamed repository is followed.
                if (method == HttpMethod.Head && !_settings.IsEndpoint(next))
                    return new(response, said);
                if (hop == MostHops)
                    throw new FaultException("/base_model", path, $"{_settings.Endpoint.Host} redirects more than {MostHops} times.", "Check Hub:Endpoint.");
                if (!_settings.Allows(next))
                    throw new FaultException("/base_model", $"{next.Scheme}://{next.Host}", "The hub redirects to a host that is not allowed.", "If it is the hub's or the mirror's own, add it to Hub:AllowedHosts.");
                response.Dispose();
                address = next;
            }
            catch
            {
                response.Dispose();
                throw;
            }
        }
    }

    private async Task<HttpResponseMessage> SendOnce(HttpMethod method, Uri address, Action<HttpRequestHeaders>? configure, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(method, address);
        if (_settings.Token is { } token && _settings.IsEndpoint(address))
            request.Headers.Authorization = new("Bearer", token);
        configure?.Invoke(request.Headers);
        try
        {
            return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        }
        catch (Exception error) when (PassingFailureException.IsOfTheNetwork(error, cancel))
        {
            throw new PassingFailureException($"{address.Host} cannot be reached: {error.GetBaseException().Message}", cause: error);
        }
    }

    private static HubFile Read(HttpResponseMessage response, string? commit, HubFile said)
    {
        if (commit is not null && Header(response, "X-Repo-Commit") is { } told && told != commit)
            throw HubRefusal.Damaged(said.Path, $"The hub answers with commit {told} where {commit} was asked for.");
        // A range's Content-Length is not the file's, and a redirect's is that of its own body.
        var isWhole = response.StatusCode == HttpStatusCode.OK;
        return said with
        {
            Etag = ContentName(Header(response, "X-Linked-Etag")) ?? (isWhole ? ContentName(Header(response, "ETag")) : null) ?? said.Etag,
            Size = (long.TryParse(Header(response, "X-Linked-Size"), out var linked) ? linked : (long?)null) ?? (isWhole ? response.Content.Headers.ContentLength : null) ?? said.Size,
        };
    }

    /// <summary>An etag that is a hash of the content, the only kind that can be checked; null for any other.</summary>
    private static string? ContentName(string? etag)
    {
        var name = etag?.Replace("W/", "", StringComparison.Ordinal).Trim('"');
        return name?.Length is 40 or 64 && name.All(char.IsAsciiHexDigitLower) ? name : null;
    }

    private static string? Header(HttpResponseMessage response, string name) => response.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;

    private static TimeSpan? RetryAfter(HttpResponseMessage response) =>
        response.Headers.RetryAfter is not { } told ? null : told.Delta ?? told.Date - (response.Headers.Date ?? TimeProvider.System.GetUtcNow());

    private static bool IsRedirect(HttpResponseMessage response) => (int)response.StatusCode is 301 or 302 or 303 or 307 or 308;

    private async Task<byte[]> ReadBody(HttpResponseMessage response, long longest, CancellationToken cancel)
    {
        using var stalled = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        stalled.CancelAfter(_settings.StallTimeout);
        try
        {
            await response.Content.LoadIntoBufferAsync(longest, stalled.Token);
            return await response.Content.ReadAsByteArrayAsync(stalled.Token);
        }
        catch (Exception error) when (PassingFailureException.IsOfTheNetwork(error, cancel))
        {
            throw new PassingFailureException($"{_settings.Endpoint.Host} breaks off: {error.GetBaseException().Message}", cause: error);
        }
    }
}
