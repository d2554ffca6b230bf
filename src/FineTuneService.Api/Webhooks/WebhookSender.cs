using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using FineTuneService.Storage;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Webhooks;

/// <summary>What came of one attempt. <see cref="Error"/> is for people; null when the message was taken.</summary>
public sealed record WebhookAnswer(int? Status, string? Error)
{
    public bool IsGone => Status == StatusCodes.Status410Gone;
}

/// <summary>Sends a message to its receiver, once. Of the answer only the status is read.</summary>
public sealed class WebhookSender : IDisposable
{
    private const int LongestError = 300;

    private readonly HttpMessageInvoker _http;
    private readonly ReceiverPolicy _receivers;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _clock;

    public WebhookSender(ReceiverPolicy receivers, IOptions<WebhookSettings> settings, TimeProvider clock)
    {
        (_receivers, _timeout, _clock) = (receivers, settings.Value.Timeout, clock);
        _http = new(new SocketsHttpHandler
        {
            ConnectCallback = Connect,
            ConnectTimeout = _timeout,
            UseProxy = false, // A proxy would resolve names in our place.
            UseCookies = false,
            AllowAutoRedirect = false,
            ActivityHeadersPropagator = null, // Our traces are nobody's business.
            MaxResponseHeadersLength = 16, // KB
            MaxResponseDrainSize = 16 * 1024,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        });
    }

    public async Task<WebhookAnswer> Send(Webhook webhook, WebhookDelivery message, CancellationToken cancel)
    {
        if (_receivers.Refusal(webhook.Url) is var (refusal, _)) // The settings may have changed.
            return new(null, refusal);
        using var patience = new CancellationTokenSource(_timeout, _clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
        try
        {
            using var request = Request(webhook, message, _clock.GetUtcNow().ToUnixTimeSeconds());
            using var answer = await _http.SendAsync(request, either.Token);
            var status = (int)answer.StatusCode;
            return new(status, answer.IsSuccessStatusCode ? null : status is >= 300 and < 400 ? "It answered with a redirect, which is not followed." : $"It answered {status}.");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return new(null, $"No answer within {_timeout.TotalSeconds:0.#} seconds.");
        }
        catch (Exception error) when (error is not OperationCanceledException) // Whatever a receiver can do to a request is its failure, never ours.
        {
            var reason = error.GetBaseException().Message;
            return new(null, reason.Length > LongestError ? reason[..LongestError] : reason);
        }
    }

    public void Dispose() => _http.Dispose();

    private static HttpRequestMessage Request(Webhook webhook, WebhookDelivery message, long timestamp) => new(HttpMethod.Post, webhook.Url)
    {
        Content = new ByteArrayContent(Encoding.UTF8.GetBytes(message.Payload)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
        Headers =
        {
            { "User-Agent", "FineTuneService" },
            { "webhook-id", message.Id },
            { "webhook-timestamp", $"{timestamp}" },
            { "webhook-signature", WebhookSecret.Sign(webhook, message.Id, timestamp, message.Payload) },
        },
    };

    /// <summary>Connects to an address that was judged, not to a name that may lead elsewhere a moment later.</summary>
    private async ValueTask<Stream> Connect(SocketsHttpConnectionContext context, CancellationToken cancel)
    {
        var addresses = await Dns.GetHostAddressesAsync(context.DnsEndPoint.Host, cancel);
        var allowed = addresses.Where(_receivers.Allows).ToArray();
        if (allowed.Length == 0)
            throw new HttpRequestException(ReceiverPolicy.NotAllowed);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, context.DnsEndPoint.Port, cancel);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
