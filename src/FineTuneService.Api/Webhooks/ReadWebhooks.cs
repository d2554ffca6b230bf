using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Webhooks;

public static class ReadWebhooks
{
    /// <summary>Lists webhooks, the newest first.</summary>
    /// <param name="limit">Webhooks on a page, 1 to 200; 50 unless given.</param>
    /// <param name="after">The <c>next_after</c> of the page before.</param>
    public static async Task<Ok<Page<WebhookView, string?>>> List(FineTuneDb db, CancellationToken cancel, int? limit = null, string? after = null)
    {
        var size = Page.Limit(limit, usual: 50, most: 200);
        var webhooks = db.Webhooks.AsNoTracking();
        if (after is not null)
            webhooks = webhooks.Where(webhook => string.Compare(webhook.Id, after) < 0);
        return TypedResults.Ok(Page.Of<Webhook, WebhookView, string?>(await webhooks.OrderByDescending(webhook => webhook.Id).Take(size + 1).ToListAsync(cancel), size, WebhookView.From, webhook => webhook.Id));
    }

    /// <summary>Tells where a webhook's messages go, and of what.</summary>
    /// <param name="id">The webhook's id.</param>
    public static async Task<Ok<WebhookView>> Get(string id, FineTuneDb db, CancellationToken cancel) => TypedResults.Ok(WebhookView.From(await db.FindWebhook(id, cancel)));

    /// <exception cref="ProblemException">404.</exception>
    public static async Task<Webhook> FindWebhook(this FineTuneDb db, string id, CancellationToken cancel) =>
        await db.Webhooks.FirstOrDefaultAsync(webhook => webhook.Id == id, cancel) ?? throw ProblemException.NotFound("webhook", id);

    /// <summary>One that is enabled, and stays until the transaction ends.</summary>
    /// <exception cref="ProblemException">404, 409.</exception>
    internal static async Task HoldWebhook(this FineTuneDb db, string id, CancellationToken cancel)
    {
        var webhook = await db.Webhooks.FromSql($"SELECT * FROM finetune.webhooks WHERE id = {id} FOR KEY SHARE").AsNoTracking().FirstOrDefaultAsync(cancel) ?? throw ProblemException.NotFound("webhook", id);
        if (!webhook.Enabled)
            throw ProblemException.Conflict("The webhook is disabled; enable it first.");
    }
}
