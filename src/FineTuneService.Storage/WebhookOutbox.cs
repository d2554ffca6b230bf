using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Messages are rows of the transaction that they tell of: both are there, or neither. Sending them is somebody else's work, later.</summary>
internal static class WebhookOutbox
{
    /// <summary>Tells the project's webhooks of the job's new state, with the next save.</summary>
    public static async Task Announce(this FineTuneDb db, Job job, DateTimeOffset now, CancellationToken cancel)
    {
        var type = WebhookMessage.TypeOf(job.Status);
        // Locked against their deletion, which waits for us and takes our messages along.
        var webhooks = await db.Webhooks.FromSql($"SELECT * FROM finetune.webhooks WHERE project_id = {job.ProjectId} AND enabled AND (cardinality(events) = 0 OR {type} = ANY (events)) FOR KEY SHARE")
            .IgnoreQueryFilters().Select(webhook => webhook.Id).ToListAsync(cancel);
        if (webhooks.Count == 0)
            return;
        var body = WebhookMessage.Body(type, now, WebhookMessage.Describe(job));
        db.WebhookDeliveries.AddRange(webhooks.Select(webhook => WebhookMessage.To(webhook, type, body, now, job.Id)));
    }
}
