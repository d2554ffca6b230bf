using System.Collections.Concurrent;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace FineTuneService.Worker.Tests;

/// <summary>Takes what a host exports by OTLP over HTTP. It keeps the messages as they are: names and ids stand in them in plain bytes.</summary>
internal sealed class TraceCollector : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<byte[]> _received = new();

    private TraceCollector(WebApplication app) => _app = app;

    public (string Name, string Value)[] Settings =>
        [("OTEL_EXPORTER_OTLP_ENDPOINT", _app.Urls.Single()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_BSP_SCHEDULE_DELAY", "200")];

    public static async Task<TraceCollector> Start()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var collector = new TraceCollector(builder.Build());
        collector._app.MapPost("/v1/traces", collector.Receive);
        await collector._app.StartAsync();
        return collector;
    }

    /// <summary>Whether a span of this name has come, among those of this trace.</summary>
    public bool Has(Guid trace, string span)
    {
        var id = Convert.FromHexString($"{trace:N}");
        byte[] name = [0x2A, (byte)span.Length, .. Encoding.ASCII.GetBytes(span)];
        return _received.Any(message =>
        {
            // Of a span, trace_id is the first field and name the fifth, both preceded by their length.
            for (var at = message.AsSpan(); at.IndexOf(id) is >= 0 and var start; at = at[(start + id.Length)..])
                if (at[(start + id.Length)..Math.Min(at.Length, start + 100)].IndexOf(name) >= 0)
                    return true;
            return false;
        });
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task Receive(HttpRequest request)
    {
        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body);
        _received.Enqueue(body.ToArray());
    }
}
