using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Webhooks;

/// <summary>What is to be different; what is left out stays as it is.</summary>
public sealed record WebhookChange
{
    /// <summary>Where messages are posted, those too that wait to be sent again.</summary>
    public string? Url { get; init; }

    /// <summary>What it is to hear of; an empty list means all.</summary>
    [MaxLength(32)]
    public IReadOnlyList<string>? Events { get; init; }

    /// <summary>false: nothing is sent there any more. What waits to be sent counts as dead.</summary>
    public bool? Enabled { get; init; }
}

public static class ChangeWebhook
{
    /// <summary>Changes where a webhook's messages go, of what they tell, or whether any are sent.</summary>
    /// <param name="id">The webhook's id.</param>
    public static async Task<Ok<WebhookView>> Handle(string id, HttpRequest request, FineTuneDb db, ReceiverPolicy receivers, CancellationToken cancel)
    {
        var change = await JsonContract.ReadAsync<WebhookChange>(request.Body, Catalog.Json, cancel);
        var faults = new FaultList();
        if (change.Url is not null)
            receivers.Check(change.Url, "/url", faults);
        var events = EventNames.Read(change.Events, faults);
        faults.ThrowIfAny();

        var webhook = await db.FindWebhook(id, cancel);
        webhook.Url = change.Url ?? webhook.Url;
        webhook.Events = change.Events is null ? webhook.Events : events;
        webhook.Enabled = change.Enabled ?? webhook.Enabled;
        await db.SaveChangesAsync(cancel);
        return TypedResults.Ok(WebhookView.From(webhook));
    }
}
