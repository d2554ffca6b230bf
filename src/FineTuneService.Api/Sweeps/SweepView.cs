using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;

namespace FineTuneService.Api.Sweeps;

/// <summary>A sweep as clients see it.</summary>
public sealed record SweepView
{
    // A specification stored by another version may have members that this one does not know.
    private static readonly JsonSerializerOptions Stored = new(Catalog.Json) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    public required string Id { get; init; }
    public string? Name { get; init; }
    public required SweepStatus Status { get; init; }

    /// <summary>Why it is in this state.</summary>
    public string? Reason { get; init; }

    /// <summary>By which trials are compared.</summary>
    public required string Metric { get; init; }
    public required SweepDirection Direction { get; init; }

    /// <summary>How many trials wait for their turn (<c>waiting</c>), and how many jobs are in each state.</summary>
    public required IReadOnlyDictionary<string, int> Counts { get; init; }

    /// <summary>The best of the jobs that have succeeded.</summary>
    public SweepTrialView? Best { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? FinishedAt { get; init; }
    public DateTimeOffset? CancelRequestedAt { get; init; }

    /// <summary>What was posted.</summary>
    public required SweepSpec Spec { get; init; }

    /// <summary>Every trial, by rung and number; absent in lists.</summary>
    public IReadOnlyList<SweepTrialView>? Trials { get; init; }

    internal static SweepView From(Sweep sweep, IReadOnlyCollection<SweepStanding> standings, bool withTrials) => new()
    {
        Id = sweep.Id,
        Name = sweep.Name,
        Status = sweep.Status,
        Reason = sweep.Reason,
        Metric = sweep.Metric,
        Direction = sweep.GreaterIsBetter ? SweepDirection.Maximize : SweepDirection.Minimize,
        Counts = standings.GroupBy(standing => SweepTrialView.StatusOf(standing)).OrderBy(group => group.Key).ToDictionary(group => JsonNamingPolicy.SnakeCaseLower.ConvertName(group.Key.ToString()), group => group.Count()),
        Best = SweepStanding.Ranked(standings, sweep.GreaterIsBetter).Select(SweepTrialView.From).FirstOrDefault(),
        CreatedAt = sweep.CreatedAt,
        FinishedAt = sweep.FinishedAt,
        CancelRequestedAt = sweep.CancelRequestedAt,
        Spec = JsonSerializer.Deserialize<SweepSpec>(sweep.Spec, Stored)!,
        Trials = withTrials ? [.. standings.Select(SweepTrialView.From)] : null,
    };
}

/// <summary>One point of the space on one rung.</summary>
public sealed record SweepTrialView
{
    /// <summary>Which point, from 1; the same on every rung.</summary>
    public required int Trial { get; init; }

    /// <summary>From 0; above only by successive halving.</summary>
    public required int Rung { get; init; }

    /// <summary>JSON pointers into the specification and what stands there; of successive halving also the resource.</summary>
    public required IReadOnlyDictionary<string, JsonElement> Parameters { get; init; }

    /// <summary>The job's id; absent while the trial waits.</summary>
    public string? Job { get; init; }
    public required SweepTrialStatus Status { get; init; }

    /// <summary>The job's best evaluation so far.</summary>
    public double? Metric { get; init; }

    /// <summary>The step of that evaluation, and of the job's best checkpoint.</summary>
    public int? Step { get; init; }

    internal static SweepTrialView From(SweepStanding standing) => new()
    {
        Trial = standing.Number,
        Rung = standing.Rung,
        Parameters = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(standing.Parameters)!,
        Job = standing.JobId,
        Status = StatusOf(standing),
        Metric = standing.Metric is { } metric && double.IsFinite(metric) ? metric : null,
        Step = standing.Step,
    };

    internal static SweepTrialStatus StatusOf(SweepStanding standing) => standing.Status is { } status ? Enum.Parse<SweepTrialStatus>(status.ToString()) : SweepTrialStatus.Waiting;
}

/// <summary>A trial waits until the sweep queues it as a job; then it has the job's state.</summary>
public enum SweepTrialStatus { Waiting, Queued, Preparing, Running, Retrying, Succeeded, Failed, Cancelled }
