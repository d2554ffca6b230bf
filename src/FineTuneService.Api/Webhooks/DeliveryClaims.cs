using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Webhooks;

/// <summary>A message and its receiver, ours for one attempt.</summary>
public sealed record ClaimedDelivery(WebhookDelivery Message, Webhook Webhook);

/// <summary>
/// Shares the messages among the processes that send them. A claim moves the next attempt to when the lease runs out:
/// if we die meanwhile, the message is sent again.
/// </summary>
public sealed class DeliveryClaims(IDbContextFactory<FineTuneDb> databases, IOptions<WebhookSettings> settings, TimeProvider clock)
{
    /// <summary>The oldest due message of each webhook, so that what one receiver owes holds up no other.</summary>
    /// <param name="busy">Webhooks that have one under way.</param>
    public async Task<IReadOnlyList<ClaimedDelivery>> Take(IReadOnlyCollection<string> busy, int most, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var now = clock.GetUtcNow();
        // Who comes second to a row passes it by, or finds it claimed.
        var messages = await db.WebhookDeliveries.FromSql($"""
            UPDATE finetune.webhook_deliveries SET attempts = attempts + 1, next_attempt_at = {now + settings.Value.Lease}
            WHERE id IN (
                SELECT id FROM finetune.webhook_deliveries
                WHERE next_attempt_at <= {now} AND id IN (
                    SELECT DISTINCT ON (webhook_id) id FROM finetune.webhook_deliveries
                    WHERE next_attempt_at <= {now} AND webhook_id <> ALL ({busy.ToArray()}) ORDER BY webhook_id, next_attempt_at, id)
                ORDER BY next_attempt_at LIMIT {most} FOR UPDATE SKIP LOCKED)
            RETURNING *
            """).AsNoTracking().ToListAsync(cancel);
        if (messages.Count == 0)
            return [];
        var receivers = messages.Select(message => message.WebhookId).ToList();
        var webhooks = await db.Webhooks.AsNoTracking().Where(webhook => receivers.Contains(webhook.Id)).ToDictionaryAsync(webhook => webhook.Id, cancel);
        return [.. from message in messages where webhooks.ContainsKey(message.WebhookId) select new ClaimedDelivery(message, webhooks[message.WebhookId])]; // Without: it was deleted just now.
    }

    public Task Deliver(WebhookDelivery message, WebhookAnswer answer, CancellationToken cancel) =>
        Settle(message, answer, next: null, deliveredAt: clock.GetUtcNow(), deadAt: null, cancel);

    /// <summary>It did not arrive: it is tried again later, or given up after the last attempt.</summary>
    public Task Fail(WebhookDelivery message, WebhookAnswer answer, CancellationToken cancel) => message.Attempts >= settings.Value.MaxAttempts
        ? GiveUp(message, answer, cancel)
        : Settle(message, answer, next: clock.GetUtcNow() + settings.Value.DelayAfter(message.Attempts), deliveredAt: null, deadAt: null, cancel);

    public Task GiveUp(WebhookDelivery message, WebhookAnswer answer, CancellationToken cancel) =>
        Settle(message, answer, next: null, deliveredAt: null, deadAt: clock.GetUtcNow(), cancel);

    /// <summary>Nothing more goes there until somebody enables it again.</summary>
    public async Task Disable(Webhook webhook, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await db.Webhooks.Where(row => row.Id == webhook.Id && row.Url == webhook.Url).ExecuteUpdateAsync(row => row.SetProperty(one => one.Enabled, false), cancel);
    }

    /// <summary>Drops what is old and will not be sent any more.</summary>
    public async Task Forget(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        var oldest = clock.GetUtcNow() - settings.Value.Retention;
        await db.WebhookDeliveries.Where(row => row.NextAttemptAt == null && row.CreatedAt < oldest).ExecuteDeleteAsync(cancel);
    }

    private async Task Settle(WebhookDelivery message, WebhookAnswer answer, DateTimeOffset? next, DateTimeOffset? deliveredAt, DateTimeOffset? deadAt, CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        // Unless our lease ran out, and it is another attempt's by now.
        await db.WebhookDeliveries.Where(row => row.Id == message.Id && row.Attempts == message.Attempts && row.NextAttemptAt != null).ExecuteUpdateAsync(
            row => row.SetProperty(one => one.NextAttemptAt, next).SetProperty(one => one.DeliveredAt, deliveredAt).SetProperty(one => one.DeadAt, deadAt)
                .SetProperty(one => one.LastStatus, answer.Status).SetProperty(one => one.LastError, answer.Error),
            cancel);
    }
}
