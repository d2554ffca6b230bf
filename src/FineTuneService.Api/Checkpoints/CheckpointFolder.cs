using System.Globalization;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Checkpoints;

/// <summary>A file of a checkpoint.</summary>
/// <param name="Path">Relative to the checkpoint, with forward slashes.</param>
public sealed record CheckpointFile(string Path, long Bytes);

/// <summary>A checkpoint's folder on the disk. Names that clients give are compared with what lies there; they never become paths.</summary>
public sealed class CheckpointFolder(Checkpoint checkpoint, string path)
{
    // No links, so nothing outside can be reached.
    private static readonly EnumerationOptions Everything = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = false };

    public Checkpoint Checkpoint => checkpoint;

    public string Path => path;

    public IReadOnlyList<FileInfo> Files =>
        [.. new DirectoryInfo(path).EnumerateFiles("*", Everything).OrderBy(file => file.FullName, StringComparer.Ordinal)];

    public string NameOf(FileInfo file) => System.IO.Path.GetRelativePath(path, file.FullName).Replace('\\', '/');

    /// <param name="which">A step, <c>best</c> or <c>final</c>; null: the best one, else the newest.</param>
    /// <exception cref="ProblemException">404 when there is no such job or checkpoint.</exception>
    public static async Task<CheckpointFolder> Find(FineTuneDb db, CheckpointFiles files, string jobId, string? which, CancellationToken cancel)
    {
        await db.FindJob(jobId, cancel);
        var kept = db.Checkpoints.AsNoTracking().Where(row => row.JobId == jobId && row.DeletedAt == null);
        var chosen = which switch
        {
            null => kept.OrderByDescending(row => row.Best).ThenByDescending(row => row.Step),
            "best" => kept.Where(row => row.Best),
            "final" => kept.Where(row => row.Final),
            _ when int.TryParse(which, NumberStyles.None, CultureInfo.InvariantCulture, out var step) => kept.Where(row => row.Step == step),
            _ => kept.Take(0),
        };
        var found = await chosen.FirstOrDefaultAsync(cancel);
        return found is not null && await files.Find(found, cancel) is { } path ? new(found, path) : throw ProblemException.NotFound("checkpoint", which ?? "best");
    }
}
