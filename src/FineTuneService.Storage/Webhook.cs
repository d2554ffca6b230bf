namespace FineTuneService.Storage;

/// <summary>An address that hears of a project's jobs.</summary>
public sealed class Webhook
{
    public required string Id { get; init; }
    public required string ProjectId { get; init; }
    public required string Url { get; set; }

    /// <summary>What deliveries are signed with (Standard Webhooks): <c>whsec_</c> and base64.</summary>
    public required string Secret { get; set; }

    /// <summary>The one before, with which deliveries are signed as well until <see cref="PreviousSecretExpiresAt"/>, so that receivers can change over.</summary>
    public string? PreviousSecret { get; set; }
    public DateTimeOffset? PreviousSecretExpiresAt { get; set; }

    /// <summary>Such as <c>job.succeeded</c>; none means all.</summary>
    public required string[] Events { get; set; }
    public bool Enabled { get; set; } = true;
    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>One message to one webhook, until it is delivered or given up.</summary>
public sealed class WebhookDelivery
{
    /// <summary>The message's id, the same over all attempts.</summary>
    public required string Id { get; init; }
    public required string WebhookId { get; init; }
    public required string JobId { get; init; }
    public required string Type { get; init; }

    /// <summary>The body that is sent, as JSON.</summary>
    public required string Payload { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public int Attempts { get; set; }

    /// <summary>Null when nothing more will be tried.</summary>
    public DateTimeOffset? NextAttemptAt { get; set; }
    public DateTimeOffset? DeliveredAt { get; set; }

    /// <summary>When it was given up: it is on the dead-letter list.</summary>
    public DateTimeOffset? DeadAt { get; set; }
    public int? LastStatus { get; set; }
    public string? LastError { get; set; }
}
