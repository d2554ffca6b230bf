using System.Data.Common;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Webhooks;

/// <summary>Sends what is due, one message at a time to each receiver and to many receivers at once. Any number of processes may do so beside each other.</summary>
public sealed class WebhookDispatcher(DeliveryClaims claims, WebhookSender sender, IOptions<WebhookSettings> settings, TimeProvider clock, ILogger<WebhookDispatcher> log) : BackgroundService
{
    private readonly Dictionary<string, Task> _underWay = []; // By webhook.

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (settings.Value.Parallel > 0 && !stoppingToken.IsCancellationRequested)
            {
                await WithDatabase(() => Start(stoppingToken), stoppingToken);
                await Task.WhenAny([Task.Delay(settings.Value.PollInterval, clock, stoppingToken), .. _underWay.Values]);
                foreach (var (webhook, delivery) in _underWay.Where(pair => pair.Value.IsCompleted).ToList())
                {
                    await delivery;
                    _underWay.Remove(webhook);
                }
            }
        }
        finally
        {
            await Task.WhenAll(_underWay.Values).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task Start(CancellationToken cancel)
    {
        if (settings.Value.Parallel - _underWay.Count is > 0 and var free)
            foreach (var claimed in await claims.Take(_underWay.Keys, free, cancel))
                _underWay[claimed.Webhook.Id] = WithDatabase(() => Deliver(claimed, cancel), cancel);
    }

    private async Task Deliver(ClaimedDelivery claimed, CancellationToken cancel)
    {
        var (message, webhook) = claimed;
        var answer = webhook.Enabled ? await sender.Send(webhook, message, cancel) : new(null, "The webhook is disabled.");
        var settle = CancellationToken.None; // What came of it is written down even while we stop.
        if (answer.IsGone)
            await claims.Disable(webhook, settle);
        if (answer.Error is null)
            await claims.Deliver(message, answer, settle);
        else if (answer.IsGone || !webhook.Enabled)
            await claims.GiveUp(message, answer, settle);
        else
            await claims.Fail(message, answer, settle);
    }

    /// <summary>If the database is away, what we hold is sent again, once its lease has run out.</summary>
    private async Task WithDatabase(Func<Task> act, CancellationToken cancel)
    {
        try
        {
            await act();
        }
        catch (Exception error) when ((error is DbException || error.InnerException is DbException) && !cancel.IsCancellationRequested)
        {
            log.LogWarning("Webhooks have to wait for the database ({Error})", error.GetBaseException().Message);
        }
    }
}
