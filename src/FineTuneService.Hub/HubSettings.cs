using FineTuneService.Contracts;
using Microsoft.Extensions.Configuration;

namespace FineTuneService.Hub;

/// <summary>Section <c>Hub</c>: where models come from and where they are kept. What is not set there follows the variables of the Python library huggingface_hub.</summary>
public sealed class HubSettings
{
    private const string DefaultEndpoint = "https://huggingface.co";

    /// <summary>The hub or a mirror of it. Else <c>HF_ENDPOINT</c>.</summary>
    public Uri Endpoint { get; init; } = new(DefaultEndpoint);

    /// <summary>A read token, for private and gated models. Else <c>HF_TOKEN</c>, or what stands in the file <c>HF_TOKEN_PATH</c>. Sent to the endpoint only.</summary>
    public string? Token { get; init; }

    /// <summary>Holds the hub's own cache layout. Else <c>HF_HUB_CACHE</c>, <c>HF_HOME/hub</c>, or <c>hub</c> in the data directory.</summary>
    public required string CacheDirectory { get; init; }

    /// <summary>Asks nobody and takes what the cache has. Else <c>HF_HUB_OFFLINE</c>.</summary>
    public bool Offline { get; init; }

    /// <summary>The largest model, by the sum of the files that are needed.</summary>
    public long MaxBytes { get; init; } = 50L << 30;

    /// <summary>Hosts, beside the endpoint's, that the hub may send us to for a file's bytes; <c>*.</c> stands for any name before the rest.</summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = ["*.huggingface.co", "*.hf.co"];

    /// <summary>How often one request is repeated when network or hub fail; a download that gets on counts anew.</summary>
    public int Retries { get; init; } = 5;

    /// <summary>Wait before the first repetition; doubled each time, with jitter.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The longest wait that is taken on, also when the hub itself names one (<c>Retry-After</c>).</summary>
    public TimeSpan LongestWait { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Silence in the middle of an answer after which the connection counts as lost.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <param name="root">What a relative path is relative to.</param>
    /// <exception cref="FaultException">When a value is none.</exception>
    public static HubSettings From(IConfiguration configuration, string root, string dataDirectory)
    {
        var section = configuration.GetSection("Hub");
        var home = Given(configuration["HF_HOME"]);
        var usual = new HubSettings { CacheDirectory = "" };
        return new()
        {
            Endpoint = EndpointOf(Given(section["Endpoint"]) ?? Given(configuration["HF_ENDPOINT"]) ?? DefaultEndpoint),
            Token = TokenOf(Given(section["Token"]) ?? Given(configuration["HF_TOKEN"]) ?? ReadToken(Given(configuration["HF_TOKEN_PATH"]) ?? (home is null ? null : Path.Combine(home, "token")))),
            CacheDirectory = Path.GetFullPath(
                Given(section["CacheDirectory"]) ?? Given(configuration["HF_HUB_CACHE"]) ?? (home is null ? Path.Combine(dataDirectory, "hub") : Path.Combine(home, "hub")), root),
            Offline = IsTrue(Given(section["Offline"]) ?? Given(configuration["HF_HUB_OFFLINE"])),
            MaxBytes = section.GetValue("MaxBytes", usual.MaxBytes),
            AllowedHosts = section.GetSection("AllowedHosts").Get<string[]>() ?? usual.AllowedHosts,
            Retries = section.GetValue("Retries", usual.Retries),
            RetryDelay = section.GetValue("RetryDelay", usual.RetryDelay),
            LongestWait = section.GetValue("LongestWait", usual.LongestWait),
            StallTimeout = section.GetValue("StallTimeout", usual.StallTimeout),
        };
    }

    /// <summary>Whether a redirect may lead there. Never from TLS to plain text.</summary>
    internal bool Allows(Uri address) =>
        (address.Scheme == Uri.UriSchemeHttps || (address.Scheme == Uri.UriSchemeHttp && Endpoint.Scheme == Uri.UriSchemeHttp))
        && (address.Host == Endpoint.Host || AllowedHosts.Any(pattern => Matches(address.Host, pattern)));

    /// <summary>The only place where the token may go.</summary>
    internal bool IsEndpoint(Uri address) => address.Scheme == Endpoint.Scheme && address.Authority == Endpoint.Authority;

    private static bool Matches(string host, string pattern) => pattern.StartsWith("*.", StringComparison.Ordinal)
        ? host.EndsWith(pattern[1..], StringComparison.OrdinalIgnoreCase)
        : host.Equals(pattern, StringComparison.OrdinalIgnoreCase);

    private static string? Given(string? value) => string.IsNullOrWhiteSpace(value) ? null : value.Trim();

    private static string? ReadToken(string? path) => File.Exists(path) ? Given(File.ReadAllText(path)) : null;

    /// <summary>The fault does not show the token.</summary>
    private static string? TokenOf(string? token) => token is null || token.All(sign => sign is > ' ' and < '\x7f')
        ? token
        : throw new FaultException("Hub:Token", null, "This is no token: it has spaces or signs that no header can carry.", "Copy it again from the hub's settings page.");

    private static Uri EndpointOf(string address) => Uri.TryCreate(address.TrimEnd('/') + "/", UriKind.Absolute, out var uri) && (uri.Scheme == Uri.UriSchemeHttps || uri.Scheme == Uri.UriSchemeHttp)
        ? uri
        : throw new FaultException("Hub:Endpoint", address, "This is no address of a hub.", $"Give one such as {DefaultEndpoint}.");

    /// <summary>As huggingface_hub reads its variables.</summary>
    private static bool IsTrue(string? value) => value?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";
}
