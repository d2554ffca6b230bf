using System.Data.Common;
using FineTuneService.Storage;

namespace FineTuneService.Api.Webhooks;

/// <summary>Forgets old messages, hour by hour.</summary>
public sealed class WebhookRetention(DeliveryClaims claims, TimeProvider clock, ILogger<WebhookRetention> log) : PeriodicService(TimeSpan.FromHours(1), clock)
{
    protected override async Task Tick(CancellationToken cancel)
    {
        try
        {
            await claims.Forget(cancel);
        }
        catch (Exception error) when (error is DbException || error.InnerException is DbException)
        {
            log.LogWarning("Old messages to webhooks stay for another hour ({Error})", error.GetBaseException().Message);
        }
    }
}
