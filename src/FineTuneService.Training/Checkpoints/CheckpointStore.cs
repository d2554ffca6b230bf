using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Native;

namespace FineTuneService.Training.Checkpoints;

/// <summary>
/// The checkpoints of one run. A folder named <c>checkpoint-N</c> is complete by construction: it was written under another name,
/// brought to the disk and renamed. <c>manifest.json</c> in it has the SHA-256 of every file, and the proof that they are the model.
/// </summary>
public sealed class CheckpointStore(RunFolder run)
{
    public const string Manifest = "manifest.json";

    private const string Prefix = "checkpoint-";

    /// <summary>Steps of the complete checkpoints, rising.</summary>
    public IReadOnlyList<int> Steps => !Directory.Exists(run.Checkpoints)
        ? []
        : [.. Directory.EnumerateDirectories(run.Checkpoints, Prefix + "*")
            .Select(folder => int.TryParse(Path.GetFileName(folder)[Prefix.Length..], CultureInfo.InvariantCulture, out var step) ? step : -1)
            .Where(step => step >= 0)
            .Order()];

    /// <summary>The newest checkpoint whose files are what they were when written; null without one.</summary>
    /// <param name="refused">Told about each checkpoint that was passed over, and why.</param>
    public int? Latest(Action<string> refused)
    {
        foreach (var step in Steps.Reverse())
        {
            if (Damage(run.Checkpoint(step)) is not { } damage)
                return step;
            refused($"{Path.GetFileName(run.Checkpoint(step))} is passed over: {damage}");
        }
        return null;
    }

    /// <summary>Publishes a checkpoint: all of it or nothing, whatever happens meanwhile.</summary>
    /// <param name="write">Writes its files into the folder that it is given, and proves them.</param>
    /// <returns>Bytes of all files.</returns>
    public long Save(int step, Func<string, ExportProof> write)
    {
        var draft = Path.Combine(run.Checkpoints, $".draft-{step}");
        DeleteIfExists(draft);
        Directory.CreateDirectory(draft);
        var proof = write(draft);
        var files = Directory.EnumerateFiles(draft).Order(StringComparer.Ordinal).ToDictionary(file => Path.GetFileName(file)!, Describe);
        File.WriteAllText(Path.Combine(draft, Manifest), JsonSerializer.Serialize(new Content(files, proof), SnakeCaseJson.Indented));
        Durable.FlushFolder(draft);
        var final = run.Checkpoint(step);
        DeleteIfExists(final); // An attempt that was rewound wrote the same step before.
        Directory.Move(draft, final);
        Durable.Flush(run.Checkpoints);
        return files.Values.Sum(file => file.Bytes);
    }

    /// <summary>Deletes the oldest checkpoints so that <paramref name="keep"/> stay besides the best one; the newest always stays.</summary>
    public IEnumerable<int> Prune(int keep, int? best)
    {
        foreach (var step in Steps.Where(step => step != best).SkipLast(Math.Max(1, keep)).ToList())
        {
            DeleteIfExists(run.Checkpoint(step));
            yield return step;
        }
    }

    /// <summary>What is wrong with a checkpoint's files, or null.</summary>
    public static string? Damage(string folder)
    {
        var manifest = Path.Combine(folder, Manifest);
        if (!File.Exists(manifest))
            return $"{Manifest} is missing";
        try
        {
            var files = JsonSerializer.Deserialize<Content>(File.ReadAllBytes(manifest), SnakeCaseJson.Options)!.Files;
            return files.Where(file => !File.Exists(Path.Combine(folder, file.Key))).Select(file => $"{file.Key} is missing")
                .Concat(files.Where(file => Describe(Path.Combine(folder, file.Key)) != file.Value).Select(file => $"{file.Key} has changed since it was written"))
                .FirstOrDefault();
        }
        catch (JsonException error)
        {
            return $"{Manifest} cannot be read: {error.Message}";
        }
    }

    private static FileEntry Describe(string file)
    {
        using var stream = File.OpenRead(file);
        return new(stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)));
    }

    private static void DeleteIfExists(string folder)
    {
        if (!Directory.Exists(folder))
            return;
        // Renamed first: a half-deleted checkpoint must not look like a complete one.
        var doomed = Path.Combine(Path.GetDirectoryName(folder)!, $".deleted-{Path.GetFileName(folder)}");
        if (Directory.Exists(doomed))
            Directory.Delete(doomed, recursive: true);
        Directory.Move(folder, doomed);
        Directory.Delete(doomed, recursive: true);
    }

    private sealed record Content(Dictionary<string, FileEntry> Files, ExportProof Verification);

    private sealed record FileEntry(long Bytes, string Sha256);
}
