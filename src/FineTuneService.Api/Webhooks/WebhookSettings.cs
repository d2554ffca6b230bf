using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Api.Webhooks;

/// <summary>Section <c>Webhooks</c>: how messages are delivered, and where they may go.</summary>
public sealed class WebhookSettings
{
    private const double Growth = 5;

    /// <summary>Attempts at one message, after which it is dead.</summary>
    [Range(1, 100)]
    public int MaxAttempts { get; init; } = 8;

    /// <summary>Wait after the first failure; five times as long after each further one, with jitter.</summary>
    public TimeSpan FirstRetry { get; init; } = TimeSpan.FromSeconds(5);

    public TimeSpan LongestRetry { get; init; } = TimeSpan.FromHours(12);

    /// <summary>How long a receiver may take to answer.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Receivers that this process sends to at the same time, one message each; 0: it leaves the sending to other processes.</summary>
    [Range(0, 1000)]
    public int Parallel { get; init; } = 64;

    /// <summary>How often is looked for messages.</summary>
    public TimeSpan PollInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long messages are signed with the old secret as well after a rotation.</summary>
    public TimeSpan SecretOverlap { get; init; } = TimeSpan.FromDays(1);

    /// <summary>How long messages are kept that are delivered or dead.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromDays(30);

    /// <summary>Receivers in private networks and on this machine, and without TLS there; for a house that trusts everybody with a key.</summary>
    public bool AllowPrivateAddresses { get; init; }

    /// <summary>Receivers without TLS.</summary>
    public bool AllowHttp { get; init; }

    /// <summary>A process that sends a message and dies holds it so long.</summary>
    internal TimeSpan Lease => Timeout * 2;

    internal TimeSpan DelayAfter(int attempts)
    {
        var seconds = FirstRetry.TotalSeconds * Math.Pow(Growth, attempts - 1) * (0.75 + Random.Shared.NextDouble() / 2);
        return TimeSpan.FromSeconds(Math.Min(seconds, LongestRetry.TotalSeconds));
    }
}
