using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace FineTuneService.Api.Tests;

/// <summary>A message as it came in.</summary>
public sealed record Received(string Path, string Id, string Timestamp, string Signature, string Body)
{
    public JsonObject Json => JsonNode.Parse(Body)!.AsObject();

    public string Type => (string)Json["type"]!;

    /// <summary>As the Standard Webhooks specification tells receivers to.</summary>
    public bool IsSignedWith(string secret) =>
        Signature.Split(' ').Contains($"v1,{Convert.ToBase64String(HMACSHA256.HashData(Convert.FromBase64String(secret.Replace("whsec_", "", StringComparison.Ordinal)), Encoding.UTF8.GetBytes($"{Id}.{Timestamp}.{Body}")))}");
}

/// <summary>A server that webhooks lead to.</summary>
public sealed class Receiver : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly Channel<Received> _received = Channel.CreateUnbounded<Received>();
    private readonly WebApplication _app;

    private Receiver(WebApplication app) => _app = app;

    /// <summary>The status. A redirect leads to /elsewhere.</summary>
    public Func<Received, CancellationToken, Task<int>> Answer { get; set; } = (_, _) => Task.FromResult(StatusCodes.Status204NoContent);

    public Uri Url { get; private set; } = null!;

    public static async Task<Receiver> Start()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        var receiver = new Receiver(app);
        app.Run(receiver.Receive);
        await app.StartAsync(Api.Cancel);
        receiver.Url = new(app.Urls.Single());
        return receiver;
    }

    /// <summary>The next message, of whatever arrives.</summary>
    public Task<Received> Next() => Next(_ => true);

    /// <summary>The next of these messages; others before it are lost.</summary>
    public async Task<Received> Next(Func<Received, bool> which)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Api.Cancel);
        patience.CancelAfter(Patience);
        while (true)
            if (await _received.Reader.ReadAsync(patience.Token) is var received && which(received))
                return received;
    }

    /// <summary>Whether nothing came that was not asked for.</summary>
    public bool IsIdle => !_received.Reader.TryPeek(out _);

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private async Task Receive(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body);
        var headers = context.Request.Headers;
        Assert.Equal("application/json", context.Request.ContentType);
        var received = new Received(context.Request.Path, headers["webhook-id"]!, headers["webhook-timestamp"]!, headers["webhook-signature"]!, await reader.ReadToEndAsync(context.RequestAborted));
        _received.Writer.TryWrite(received);
        context.Response.StatusCode = await Answer(received, context.RequestAborted);
        context.Response.Headers.Location = "/elsewhere";
    }
}
