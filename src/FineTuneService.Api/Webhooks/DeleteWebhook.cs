using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Webhooks;

public static class DeleteWebhook
{
    /// <summary>Deletes a webhook with its messages; what has not been sent will not be.</summary>
    /// <param name="id">The webhook's id.</param>
    public static async Task<NoContent> Handle(string id, FineTuneDb db, CancellationToken cancel)
    {
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        // First the webhook: this waits for those who are just writing messages to it.
        if (await db.Webhooks.Where(webhook => webhook.Id == id).ExecuteDeleteAsync(cancel) == 0)
            throw ProblemException.NotFound("webhook", id);
        await db.WebhookDeliveries.Where(message => message.WebhookId == id).ExecuteDeleteAsync(cancel);
        await transaction.CommitAsync(cancel);
        return TypedResults.NoContent();
    }
}
