using FineTuneService.Api.Paging;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Webhooks;

public static class ReadDeliveries
{
    /// <summary>Lists a webhook's messages, the newest first. They are kept for 30 days unless the operator sets another time.</summary>
    /// <param name="id">The webhook's id.</param>
    /// <param name="status">Only messages that are pending, delivered, or dead: those that were given up.</param>
    /// <param name="limit">Messages on a page, 1 to 200; 50 unless given.</param>
    /// <param name="after">The <c>next_after</c> of the page before.</param>
    public static async Task<Ok<Page<DeliveryView, string?>>> Handle(string id, FineTuneDb db, CancellationToken cancel, string? status = null, int? limit = null, string? after = null)
    {
        var size = Page.Limit(limit, usual: 50, most: 200);
        await db.FindWebhook(id, cancel);
        var messages = db.WebhookDeliveries.AsNoTracking().Where(message => message.WebhookId == id);
        messages = status switch
        {
            null => messages,
            "pending" => messages.Where(message => message.NextAttemptAt != null),
            "delivered" => messages.Where(message => message.DeliveredAt != null),
            "dead" => messages.Where(message => message.DeadAt != null),
            _ => throw new FaultException("?status", status, "There is no such status.", "Give one of: pending, delivered, dead."),
        };
        if (after is not null)
            messages = messages.Where(message => string.Compare(message.Id, after) < 0);
        return TypedResults.Ok(
            Page.Of<WebhookDelivery, DeliveryView, string?>(await messages.OrderByDescending(message => message.Id).Take(size + 1).ToListAsync(cancel), size, DeliveryView.From, message => message.Id));
    }
}
