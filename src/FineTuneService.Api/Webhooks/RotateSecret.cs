using FineTuneService.Api.Paging;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Webhooks;

public static class RotateSecret
{
    /// <summary>Gives a webhook another secret, with which every message is signed from now on. It is shown only now.</summary>
    /// <remarks>For a day (setting <c>Webhooks:SecretOverlap</c>) messages carry a signature of the old secret, too, so that a receiver can change over without missing one. One that others have seen is rotated twice: never are more than two valid.</remarks>
    /// <param name="id">The webhook's id.</param>
    public static async Task<Ok<WebhookView>> Handle(string id, FineTuneDb db, IOptions<WebhookSettings> settings, TimeProvider clock, CancellationToken cancel)
    {
        var webhook = await db.FindWebhook(id, cancel);
        (webhook.Secret, webhook.PreviousSecret, webhook.PreviousSecretExpiresAt) = (WebhookSecret.New(), webhook.Secret, clock.GetMicrosecondsNow() + settings.Value.SecretOverlap);
        await db.SaveChangesAsync(cancel);
        return TypedResults.Ok(WebhookView.WithSecret(webhook));
    }
}
