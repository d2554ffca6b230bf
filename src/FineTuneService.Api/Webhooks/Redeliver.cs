using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Webhooks;

public static class Redeliver
{
    /// <summary>Sends a dead or delivered message again, with its old <c>webhook-id</c> and as many attempts as a new one.</summary>
    /// <param name="id">The webhook's id.</param>
    /// <param name="message">The message's id.</param>
    public static async Task<Accepted<DeliveryView>> Handle(string id, string message, FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        await db.HoldWebhook(id, cancel);
        var row = await db.WebhookDeliveries.FromSql($"SELECT * FROM finetune.webhook_deliveries WHERE id = {message} AND webhook_id = {id} FOR UPDATE").FirstOrDefaultAsync(cancel)
            ?? throw ProblemException.NotFound("message to this webhook", message);
        if (row.NextAttemptAt is not null)
            throw ProblemException.Conflict("The message is pending: it is being sent, or will be again.");
        (row.Attempts, row.NextAttemptAt, row.DeliveredAt, row.DeadAt) = (0, clock.GetUtcNow(), null, null);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return TypedResults.Accepted($"/webhooks/{id}/deliveries", DeliveryView.From(row));
    }
}
