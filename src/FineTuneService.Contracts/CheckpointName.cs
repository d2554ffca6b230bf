using System.Text.RegularExpressions;

namespace FineTuneService.Contracts;

/// <summary>A checkpoint as a <c>base_model</c>: <c>job:JOB</c>, or <c>job:JOB@STEP</c>, <c>@best</c>, <c>@final</c>. A resolved specification has the step.</summary>
/// <param name="Which">A step, <c>best</c> or <c>final</c>; null: the best one, else the newest.</param>
public sealed partial record CheckpointName(string JobId, string? Which)
{
    public const string Scheme = "job:";

    public CheckpointName(string jobId, int step) : this(jobId, step.ToString(System.Globalization.CultureInfo.InvariantCulture)) { }

    /// <summary>The step, where it is one.</summary>
    public int? Step => int.TryParse(Which, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var step) ? step : null;

    /// <returns>Null when it is none.</returns>
    public static CheckpointName? Parse(string baseModel) =>
        Pattern().Match(baseModel) is { Success: true } match ? new(match.Groups["job"].Value, match.Groups["which"] is { Success: true } which ? which.Value : null) : null;

    public override string ToString() => Which is null ? $"{Scheme}{JobId}" : $"{Scheme}{JobId}@{Which}";

    [GeneratedRegex(@"\Ajob:(?<job>job_[0-9a-f]{32})(@(?<which>[0-9]{1,9}|best|final))?\z")]
    private static partial Regex Pattern();
}
