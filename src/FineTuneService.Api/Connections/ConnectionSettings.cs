using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Api.Connections;

/// <summary>Section <c>Connections</c>: how much patience and room a client gets, so that a few slow ones do not keep out all others.</summary>
public sealed class ConnectionSettings
{
    /// <summary>Bytes a second of an upload or download, on average after <see cref="GracePeriod"/>; who is slower is cut off.</summary>
    [Range(1, 1e9)]
    public double MinBytesPerSecond { get; init; } = 240;

    [Range(typeof(TimeSpan), "00:00:02", "01:00:00")] // Kestrel looks once a second.
    public TimeSpan GracePeriod { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Within this time a request's headers must be there.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan HeadersTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a connection may stay open between two requests.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromMinutes(2);

    [Range(1024, 1 << 20)]
    public int MaxHeadersBytes { get; init; } = 32 << 10;

    [Range(1024, 1 << 20)]
    public int MaxRequestLineBytes { get; init; } = 8 << 10;

    /// <summary>Connections at the same time; more are closed at once.</summary>
    [Range(1, int.MaxValue)]
    public int MaxConnections { get; init; } = 10_000;
}
