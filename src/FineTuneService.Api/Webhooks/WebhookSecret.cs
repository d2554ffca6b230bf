using System.Security.Cryptography;
using System.Text;
using FineTuneService.Storage;

namespace FineTuneService.Api.Webhooks;

/// <summary>By it a receiver knows that a message is ours (Standard Webhooks, symmetric signatures).</summary>
public static class WebhookSecret
{
    private const string Prefix = "whsec_";
    private const int Bytes = 32;

    public static string New() => Prefix + Convert.ToBase64String(RandomNumberGenerator.GetBytes(Bytes));

    /// <summary>The header <c>webhook-signature</c>: a signature of each secret that is valid, the newest first.</summary>
    /// <param name="timestamp">The header <c>webhook-timestamp</c>: the seconds since 1970 when it is sent.</param>
    public static string Sign(Webhook webhook, string messageId, long timestamp, string body)
    {
        var signature = Sign(webhook.Secret, messageId, timestamp, body);
        return webhook is { PreviousSecret: { } previous, PreviousSecretExpiresAt: { } end } && timestamp < end.ToUnixTimeSeconds() ? $"{signature} {Sign(previous, messageId, timestamp, body)}" : signature;
    }

    private static string Sign(string secret, string messageId, long timestamp, string body) =>
        $"v1,{Convert.ToBase64String(HMACSHA256.HashData(Convert.FromBase64String(secret[Prefix.Length..]), Encoding.UTF8.GetBytes($"{messageId}.{timestamp}.{body}")))}";
}
