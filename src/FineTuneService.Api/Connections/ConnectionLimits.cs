using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Connections;

public static class ConnectionLimits
{
    public static void AddConnectionLimits(this WebApplicationBuilder builder)
    {
        builder.Services.AddOptions<ConnectionSettings>().BindConfiguration("Connections").ValidateDataAnnotations().ValidateOnStart();
        builder.Services.AddOptions<KestrelServerOptions>().Configure<IOptions<ConnectionSettings>>((kestrel, settings) => Set(kestrel.Limits, settings.Value));
    }

    private static void Set(KestrelServerLimits limits, ConnectionSettings settings)
    {
        limits.MinRequestBodyDataRate = limits.MinResponseDataRate = new(settings.MinBytesPerSecond, settings.GracePeriod);
        limits.RequestHeadersTimeout = settings.HeadersTimeout;
        limits.KeepAliveTimeout = settings.KeepAlive;
        limits.MaxRequestHeadersTotalSize = settings.MaxHeadersBytes;
        limits.MaxRequestLineSize = settings.MaxRequestLineBytes;
        limits.MaxConcurrentConnections = settings.MaxConnections;
    }
}
