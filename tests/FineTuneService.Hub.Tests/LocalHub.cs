using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Net.Http.Headers;

namespace FineTuneService.Hub.Tests;

/// <summary>A request as it came in. <see cref="Cdn"/>: at the host that keeps the large files.</summary>
public sealed record HubRequest(bool Cdn, string Method, string Path, string? Authorization, string? Range, string? IfRange);

/// <summary>A server that speaks the hub's routes on one port, and keeps what Git LFS would keep on another, as the hub's CDN does.</summary>
public sealed class LocalHub : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly List<HubRequest> _requests = [];
    private readonly ConcurrentDictionary<(string Id, string Commit), Dictionary<string, byte[]>> _commits = [];
    private readonly ConcurrentDictionary<(string Id, string Revision), string> _revisions = [];
    private readonly WebApplication _app;

    private LocalHub(WebApplication app) => _app = app;

    public Uri Endpoint { get; private set; } = null!;

    public Uri Cdn { get; private set; } = null!;

    /// <summary>Where the hub sends for large files, unless it is the CDN.</summary>
    public Func<string, Uri>? RedirectTo { get; set; }

    /// <summary>Answers in the server's place: true when it has. The bytes are those of the file, empty for the API.</summary>
    public Func<HttpContext, HubRequest, byte[], Task<bool>> Disturb { get; set; } = (_, _, _) => Task.FromResult(false);

    /// <summary>Changes the listing's JSON.</summary>
    public Func<string, string> Listing { get; set; } = json => json;

    public IReadOnlyList<HubRequest> Requests
    {
        get
        {
            lock (_lock)
                return [.. _requests];
        }
    }

    public static async Task<LocalHub> Start()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        var app = builder.Build();
        var hub = new LocalHub(app);
        app.Run(hub.Answer);
        await app.StartAsync();
        var addresses = app.Urls.Select(url => new Uri(url)).ToArray();
        (hub.Endpoint, hub.Cdn) = (addresses[0], addresses[1]);
        return hub;
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    /// <summary>A commit on main.</summary>
    public string Push(string id, IEnumerable<KeyValuePair<string, byte[]>> files)
    {
        var content = files.ToDictionary();
        var commit = Sha1([.. content.OrderBy(file => file.Key, StringComparer.Ordinal).SelectMany(file => Encoding.UTF8.GetBytes(file.Key).Concat(file.Value))]);
        _commits[(id, commit)] = content;
        _revisions[(id, "main")] = commit;
        return commit;
    }

    /// <summary>The files of a folder, as they could be pushed.</summary>
    public static Dictionary<string, byte[]> FilesOf(string folder) => Directory.EnumerateFiles(folder).ToDictionary(path => Path.GetFileName(path), File.ReadAllBytes);

    public static string Etag(string name, byte[] content) => IsLarge(name) ? Convert.ToHexStringLower(SHA256.HashData(content)) : GitSha1(content);

    private static bool IsLarge(string name) => name.EndsWith(".safetensors", StringComparison.Ordinal) || name.EndsWith(".bin", StringComparison.Ordinal);

    private static string GitSha1(byte[] content) => Sha1([.. Encoding.ASCII.GetBytes($"blob {content.Length}\0"), .. content]);

#pragma warning disable CA5350 // Git's names are what they are.
    private static string Sha1(byte[] content) => Convert.ToHexStringLower(SHA1.HashData(content));
#pragma warning restore CA5350

    private async Task Answer(HttpContext context)
    {
        var request = context.Request;
        var headers = request.Headers;
        var seen = new HubRequest(
            context.Connection.LocalPort == Cdn.Port, request.Method, request.Path, headers.Authorization.FirstOrDefault(), headers.Range.FirstOrDefault(), headers[HeaderNames.IfRange].FirstOrDefault());
        lock (_lock)
            _requests.Add(seen);
        var parts = request.Path.Value!.Trim('/').Split('/');
        if (seen.Cdn)
            await SendLarge(context, seen, parts[^1]);
        else if (parts[0] == "api")
            await List(context, seen, string.Join('/', parts[2..Array.IndexOf(parts, "revision")]), string.Join('/', parts[(Array.IndexOf(parts, "revision") + 1)..]));
        else
            await Resolve(context, seen, string.Join('/', parts[..Array.IndexOf(parts, "resolve")]), parts[Array.IndexOf(parts, "resolve") + 1], string.Join('/', parts[(Array.IndexOf(parts, "resolve") + 2)..]));
    }

    private async Task List(HttpContext context, HubRequest seen, string id, string revision)
    {
        if (await Disturb(context, seen, []))
            return;
        var commit = _commits.ContainsKey((id, revision)) ? revision : _revisions.GetValueOrDefault((id, Uri.UnescapeDataString(revision)));
        if (commit is null)
        {
            context.Response.Headers["X-Error-Code"] = _revisions.Keys.Any(key => key.Id == id) ? "RevisionNotFound" : "RepoNotFound";
            context.Response.StatusCode = context.Response.Headers["X-Error-Code"] == "RepoNotFound" ? 401 : 404; // As the hub does without a token.
            return;
        }
        var siblings = _commits[(id, commit)].Select(file => IsLarge(file.Key)
            ? $$"""{"rfilename": "{{file.Key}}", "blobId": "{{GitSha1(file.Value)}}", "size": {{file.Value.Length}}, "lfs": {"sha256": "{{Etag(file.Key, file.Value)}}", "size": {{file.Value.Length}}, "pointerSize": 134} }"""
            : $$"""{"rfilename": "{{file.Key}}", "blobId": "{{Etag(file.Key, file.Value)}}", "size": {{file.Value.Length}}}""");
        await context.Response.WriteAsync(Listing($$"""{"id": "{{id}}", "sha": "{{commit}}", "siblings": [{{string.Join(", ", siblings)}}]}"""));
    }

    private async Task Resolve(HttpContext context, HubRequest seen, string id, string commit, string name)
    {
        if (!_commits.TryGetValue((id, commit), out var files) || !files.TryGetValue(name, out var content))
        {
            context.Response.Headers["X-Error-Code"] = "EntryNotFound";
            context.Response.StatusCode = 404;
            return;
        }
        if (await Disturb(context, seen, content))
            return;
        context.Response.Headers["X-Repo-Commit"] = commit;
        if (!IsLarge(name))
        {
            await TypedResults.Bytes(content, entityTag: new($"\"{Etag(name, content)}\""), enableRangeProcessing: true).ExecuteAsync(context);
            return;
        }
        context.Response.Headers["X-Linked-Etag"] = $"\"{Etag(name, content)}\"";
        context.Response.Headers["X-Linked-Size"] = $"{content.Length}";
        context.Response.Headers.Location = (RedirectTo?.Invoke(Etag(name, content)) ?? new Uri(Cdn, $"blobs/{Etag(name, content)}")).ToString();
        context.Response.StatusCode = 302;
    }

    private async Task SendLarge(HttpContext context, HubRequest seen, string sha256)
    {
        var content = _commits.Values.SelectMany(files => files).First(file => Etag(file.Key, file.Value) == sha256).Value;
        if (!await Disturb(context, seen, content))
            await TypedResults.Bytes(content, entityTag: new($"\"{sha256[..8]}\""), enableRangeProcessing: true).ExecuteAsync(context);
    }
}
