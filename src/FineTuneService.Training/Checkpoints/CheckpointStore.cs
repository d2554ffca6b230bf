using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Native;

namespace FineTuneService.Training.Checkpoints;

/// <summary>
/// The checkpoints of one run. A folder named <c>checkpoint-N</c> is complete by construction: it was written under another name,
/// brought to the disk and renamed. <c>manifest.json</c> in it has the SHA-256 of every file and of itself, and the proof that they are the model.
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
            if (Damage(step) is not { } damage)
                return step;
            refused($"{Path.GetFileName(run.Checkpoint(step))} is passed over: {damage}");
        }
        return null;
    }

    /// <summary>Publishes a checkpoint: all of it or nothing, whatever happens meanwhile.</summary>
    /// <param name="write">Writes its files into the folder that it is given, and proves them.</param>
    public void Save(int step, Func<string, ExportProof> write)
    {
        var draft = Path.Combine(run.Checkpoints, $".draft-{step}");
        DeleteIfExists(draft);
        Directory.CreateDirectory(draft);
        try
        {
            var proof = write(draft);
            var files = Directory.EnumerateFiles(draft).Order(StringComparer.Ordinal).ToDictionary(file => Path.GetFileName(file)!, Describe);
            File.WriteAllBytes(Path.Combine(draft, Manifest), new Content(files, proof).Signed());
            Durable.FlushFolder(draft);
            var final = run.Checkpoint(step);
            DeleteIfExists(final); // An attempt that was rewound wrote the same step before.
            Directory.Move(draft, final);
            Durable.Flush(run.Checkpoints);
        }
        catch
        {
            DeleteIfExists(draft); // What has no room there needs it most.
            throw;
        }
    }

    /// <summary>Bytes of a checkpoint's files.</summary>
    public long Bytes(int step) => new DirectoryInfo(run.Checkpoint(step)).EnumerateFiles().Sum(file => file.Length);

    /// <summary>Whether the run's log has this checkpoint.</summary>
    public bool IsTold(int step)
    {
        var isTold = false;
        if (File.Exists(run.Events))
            foreach (var line in File.ReadLines(run.Events))
                isTold = JsonSerializer.Deserialize<TrainingEvent>(line, SnakeCaseJson.Options) switch
                {
                    CheckpointSaved saved when saved.Step == step => true,
                    CheckpointDeleted deleted when deleted.Step == step => false,
                    RunStarted started when started.LastValidStep < step => false,
                    _ => isTold,
                };
        return isTold;
    }

    /// <summary>Removes what a process has half written or half deleted when it died.</summary>
    public void Sweep()
    {
        if (Directory.Exists(run.Checkpoints))
            foreach (var half in Directory.EnumerateDirectories(run.Checkpoints, ".*").ToList())
                Directory.Delete(half, recursive: true);
    }

    /// <summary>Renames the checkpoints after a step, which are damaged or void, so that none counts as the newest; a person may look at them.</summary>
    public void SetAside(int beyond)
    {
        foreach (var step in Steps.Where(step => step > beyond))
        {
            var aside = Path.Combine(run.Checkpoints, $"damaged-{Prefix}{step}");
            DeleteIfExists(aside);
            Directory.Move(run.Checkpoint(step), aside);
        }
    }

    /// <summary>Deletes the oldest checkpoints so that <paramref name="keep"/> stay besides the best one; the newest always stays.</summary>
    /// <returns>The step of each before it goes: whoever tells of it and dies does no harm, for it is deleted the next time.</returns>
    public IEnumerable<int> Prune(int keep, int? best)
    {
        foreach (var step in Steps.Where(step => step != best).SkipLast(Math.Max(1, keep)).ToList())
        {
            yield return step;
            DeleteIfExists(run.Checkpoint(step));
        }
    }

    /// <summary>What is wrong with a checkpoint's files, or null.</summary>
    public string? Damage(int step) => Damage(run.Checkpoint(step));

    /// <inheritdoc cref="Damage(int)"/>
    public static string? Damage(string folder)
    {
        var manifest = Path.Combine(folder, Manifest);
        if (!File.Exists(manifest))
            return $"{Manifest} is missing";
        if (Content.Read(File.ReadAllBytes(manifest)) is not { Files: var files })
            return $"{Manifest} has changed since it was written";
        return files.Where(file => !File.Exists(Path.Combine(folder, file.Key))).Select(file => $"{file.Key} is missing")
            .Concat(files.Where(file => Describe(Path.Combine(folder, file.Key)) != file.Value).Select(file => $"{file.Key} has changed since it was written"))
            .FirstOrDefault();
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

    /// <param name="Sha256">Of this manifest as it is without it; null in those of earlier versions.</param>
    private sealed record Content(Dictionary<string, FileEntry> Files, ExportProof Verification, string? Sha256 = null)
    {
        private byte[] Bytes => JsonSerializer.SerializeToUtf8Bytes(this, SnakeCaseJson.Indented);

        public byte[] Signed() => (this with { Sha256 = Hash(Bytes) }).Bytes;

        /// <returns>Null when a single byte is not as it was written.</returns>
        public static Content? Read(byte[] utf8)
        {
            try
            {
                var content = JsonSerializer.Deserialize<Content>(utf8, SnakeCaseJson.Options)!;
                var isSigned = content.Sha256 is null || content.Sha256 == Hash((content with { Sha256 = null }).Bytes);
                return isSigned && utf8.AsSpan().SequenceEqual(content.Bytes) ? content : null;
            }
            catch (Exception error) when (error is JsonException or InvalidOperationException)
            {
                return null;
            }
        }

        private static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
    }

    private sealed record FileEntry(long Bytes, string Sha256);
}
