using System.Text.RegularExpressions;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Models;

/// <summary>What people call a model, from where it lies.</summary>
public static partial class ModelName
{
    /// <summary>
    /// The hub's id of a snapshot in its cache (<c>models--org--name/snapshots/COMMIT</c>), <c>job:JOB@STEP</c> for a job's checkpoint, else the folder's name:
    /// where the service keeps its files says nothing to others.
    /// </summary>
    public static string Of(string folder)
    {
        var path = Path.TrimEndingDirectorySeparator(folder);
        return HubSnapshot().Match(path) is { Success: true } hub ? hub.Groups[1].Value.Replace("--", "/", StringComparison.Ordinal)
            : JobsCheckpoint().Match(path) is { Success: true } job ? new CheckpointName(job.Groups["job"].Value, job.Groups["step"].Value).ToString()
            : Path.GetFileName(path);
    }

    [GeneratedRegex(@"(?:^|/)models--([^/]+)/snapshots/[^/]+$")]
    private static partial Regex HubSnapshot();

    /// <summary>As a <see cref="RunFolder"/> lays it out; an adapter may have been merged.</summary>
    [GeneratedRegex(@"(?:^|/)(?<job>job_[0-9a-f]{32})/(?:checkpoints/checkpoint-(?<step>[0-9]+)|merged/checkpoint-(?<step>[0-9]+)-[0-9a-f]+)$")]
    private static partial Regex JobsCheckpoint();
}
