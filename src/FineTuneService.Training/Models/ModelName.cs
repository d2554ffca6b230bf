using System.Text.RegularExpressions;

namespace FineTuneService.Training.Models;

/// <summary>What people call a model, from where it lies.</summary>
public static partial class ModelName
{
    /// <summary>The hub's id of a snapshot in its cache (<c>models--org--name/snapshots/COMMIT</c>), else the folder's name: where the service keeps its files says nothing to others.</summary>
    public static string Of(string folder)
    {
        var path = Path.TrimEndingDirectorySeparator(folder);
        return HubSnapshot().Match(path) is { Success: true } hub ? hub.Groups[1].Value.Replace("--", "/", StringComparison.Ordinal) : Path.GetFileName(path);
    }

    [GeneratedRegex(@"(?:^|/)models--([^/]+)/snapshots/[^/]+$")]
    private static partial Regex HubSnapshot();
}
