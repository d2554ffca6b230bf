namespace FineTuneService.Api.Retention;

/// <summary>Section <c>Retention</c>: how long things are kept; what is absent is kept for ever.</summary>
public sealed class RetentionSettings
{
    /// <summary>Ended jobs with everything of theirs, since they ended.</summary>
    public TimeSpan? Jobs { get; init; }

    /// <summary>Checkpoints of ended jobs, since these ended; metrics and events stay.</summary>
    public TimeSpan? Checkpoints { get; init; }

    /// <summary>Datasets that no job names, since they were uploaded.</summary>
    public TimeSpan? Datasets { get; init; }

    /// <summary>Answers to requests with an <c>Idempotency-Key</c>.</summary>
    public TimeSpan IdempotencyKeys { get; init; } = TimeSpan.FromDays(1);

    /// <summary>The audit log.</summary>
    public TimeSpan? Audit { get; init; }

    /// <summary>How often it is looked.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromMinutes(10);
}
