using System.Text.Json;
using FineTuneService.Storage;

namespace FineTuneService.Api.Webhooks;

/// <summary>A webhook as clients see it.</summary>
/// <param name="Events">What it hears of; none means all.</param>
/// <param name="Enabled">false: nothing is sent there, and what was to be sent is dead. A receiver that answers 410 disables its webhook.</param>
/// <param name="PreviousSecretExpiresAt">Until when messages are signed with the secret before as well.</param>
/// <param name="Secret">What its messages are signed with; only in the answers of creation and rotation.</param>
public sealed record WebhookView(string Id, string Url, IReadOnlyList<string> Events, bool Enabled, DateTimeOffset CreatedAt, DateTimeOffset? PreviousSecretExpiresAt, string? Secret = null)
{
    public static WebhookView From(Webhook row) => new(row.Id, row.Url, row.Events, row.Enabled, row.CreatedAt, row.PreviousSecretExpiresAt);

    public static WebhookView WithSecret(Webhook row) => From(row) with { Secret = row.Secret };
}

/// <summary>How far a message is.</summary>
public enum DeliveryStatus
{
    /// <summary>It is tried, or will be again.</summary>
    Pending,

    /// <summary>Its receiver answered 2xx.</summary>
    Delivered,

    /// <summary>It was given up.</summary>
    Dead,
}

/// <summary>A message to a webhook as clients see it.</summary>
/// <param name="Id">The message's id, the same in every attempt: the header <c>webhook-id</c>.</param>
/// <param name="Type">Such as <c>job.succeeded</c>.</param>
/// <param name="Job">The job that it tells of; absent for a test.</param>
/// <param name="Attempts">Attempts begun; redelivery begins anew.</param>
/// <param name="NextAttemptAt">Only of a pending one.</param>
/// <param name="LastStatus">What the receiver last answered; absent when it did not.</param>
/// <param name="LastError">Why the last attempt failed.</param>
/// <param name="Payload">The body that is sent.</param>
public sealed record DeliveryView(
    string Id, string Type, string? Job, DeliveryStatus Status, int Attempts, DateTimeOffset CreatedAt, DateTimeOffset? NextAttemptAt, DateTimeOffset? DeliveredAt, DateTimeOffset? DeadAt,
    int? LastStatus, string? LastError, JsonElement Payload)
{
    public static DeliveryView From(WebhookDelivery row) => new(
        row.Id, row.Type, row.JobId.Length == 0 ? null : row.JobId, StatusOf(row), row.Attempts, row.CreatedAt, row.NextAttemptAt, row.DeliveredAt, row.DeadAt,
        row.LastStatus, row.LastError, JsonSerializer.Deserialize<JsonElement>(row.Payload));

    private static DeliveryStatus StatusOf(WebhookDelivery row) => row.DeliveredAt is not null ? DeliveryStatus.Delivered : row.DeadAt is not null ? DeliveryStatus.Dead : DeliveryStatus.Pending;
}
