using FineTuneService.Api.Paging;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Webhooks;

public static class TestWebhook
{
    /// <summary>Sends a webhook a message of the type <c>webhook.test</c>. The list of its deliveries tells what came of it.</summary>
    /// <param name="id">The webhook's id.</param>
    public static async Task<Accepted<DeliveryView>> Handle(string id, FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        await db.HoldWebhook(id, cancel);
        var now = clock.GetMicrosecondsNow();
        var message = WebhookMessage.To(id, WebhookMessage.Test, WebhookMessage.Body(WebhookMessage.Test, now, new { Webhook = id }), now);
        db.WebhookDeliveries.Add(message);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return TypedResults.Accepted($"/webhooks/{id}/deliveries", DeliveryView.From(message));
    }
}
