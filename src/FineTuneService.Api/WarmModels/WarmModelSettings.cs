using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Api.WarmModels;

/// <summary>Section <c>Predictor</c>: warm models, each in a child process of its own.</summary>
public sealed class WarmModelSettings
{
    /// <summary>Processes kept warm; beyond, the least recently used one ends. Each holds one model in memory.</summary>
    [Range(1, 64)]
    public int Kept { get; init; } = 2;

    /// <summary>Requests that may wait for one process; more are refused with 503.</summary>
    [Range(1, 10_000)]
    public int QueueLength { get; init; } = 32;

    /// <summary>A process that nobody asked for this long ends.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How long a model may take to load.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long an answer may take, and each further piece of a text.</summary>
    public TimeSpan ReplyTimeout { get; init; } = TimeSpan.FromMinutes(1);
}
