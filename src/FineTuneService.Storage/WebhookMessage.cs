using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Storage;

/// <summary>What webhooks are told, as Standard Webhooks has it: type, timestamp, data.</summary>
public static class WebhookMessage
{
    /// <summary>Sent on request, to whoever is asked for.</summary>
    public const string Test = "webhook.test";

    /// <summary>One for each state that a job can come to.</summary>
    public static IReadOnlyList<string> JobTypes { get; } = [.. Enum.GetValues<JobStatus>().Select(TypeOf)];

    public static string TypeOf(JobStatus status) => $"job.{status.ToString().ToLowerInvariant()}";

    /// <summary>A message that is due at once.</summary>
    /// <param name="body">See <see cref="Body"/>.</param>
    /// <param name="jobId">Empty for one that tells of no job.</param>
    public static WebhookDelivery To(string webhookId, string type, string body, DateTimeOffset now, string jobId = "") => new()
    {
        Id = Ids.NewMessage(),
        WebhookId = webhookId,
        JobId = jobId,
        Type = type,
        Payload = body,
        CreatedAt = now,
        NextAttemptAt = now,
    };

    public static string Body(string type, DateTimeOffset now, object data) => JsonSerializer.Serialize(new { Type = type, Timestamp = now, Data = data }, SnakeCaseJson.Options);

    /// <summary>Names as in a job's view. Of faults and samples nothing: they quote people's data.</summary>
    internal static object Describe(Job job) => new
    {
        job.Id,
        job.Name,
        Sweep = job.SweepId,
        job.Status,
        job.Reason,
        job.Attempt,
        Metadata = MetadataOf(job),
        job.Step,
        job.TotalSteps,
        // JSON has no word for what diverged.
        Best = job is { BestStep: { } step, BestMetricName: { } name, BestMetric: { } value } && double.IsFinite(value) ? new { Name = name, Value = value, Step = step } : null,
        job.CreatedAt,
        job.StartedAt,
        job.FinishedAt,
    };

    private static JsonElement? MetadataOf(Job job) =>
        JsonSerializer.Deserialize<JsonElement>(job.Spec).TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object ? metadata : null;
}
