using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Webhooks;

public static class RotateSecret
{
    /// <summary>Gives a webhook another secret, with which every message is signed from now on. It is shown only now.</summary>
    /// <param name="id">The webhook's id.</param>
    public static async Task<Ok<WebhookView>> Handle(string id, FineTuneDb db, CancellationToken cancel)
    {
        var webhook = await db.FindWebhook(id, cancel);
        webhook.Secret = WebhookSecret.New();
        await db.SaveChangesAsync(cancel);
        return TypedResults.Ok(WebhookView.WithSecret(webhook));
    }
}
