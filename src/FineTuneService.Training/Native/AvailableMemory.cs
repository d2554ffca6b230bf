using System.Globalization;

namespace FineTuneService.Training.Native;

/// <summary>How much memory a new process would find on this host: what the system has left, or less, where a control group limits us.</summary>
/// <param name="root">Of the file system; another one in tests.</param>
public sealed class AvailableMemory(string root = "/")
{
    private const string Unlimited = "max";

    /// <summary>Bytes.</summary>
    public long Bytes => Groups().Prepend(OfHost()).Min();

    /// <summary><c>MemAvailable</c>: free, and what the system keeps of files and would give up.</summary>
    private long OfHost() => Field("proc/meminfo", "MemAvailable:") is { } kilobytes ? kilobytes * 1024 : long.MaxValue;

    /// <summary>What is left in our control group and in those around it (cgroup v2, or the memory controller of v1); files that it keeps count as free.</summary>
    private IEnumerable<long> Groups()
    {
        foreach (var line in Lines("proc/self/cgroup").Select(line => line.Split(':', 3)).Where(parts => parts.Length == 3 && (parts[1].Length == 0 || parts[1].Split(',').Contains("memory"))))
        {
            var (mount, limit, usage, files) = line[1].Length == 0
                ? ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ")
                : ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ");
            for (string? group = line[2].Trim('/'); group is not null; group = group.Length == 0 ? null : Path.GetDirectoryName(group))
                if (Number(Path.Combine(mount, group, limit)) is { } most && Number(Path.Combine(mount, group, usage)) is { } used)
                    yield return Math.Max(0, most - used + (Field(Path.Combine(mount, group, "memory.stat"), files) ?? 0));
        }
    }

    private long? Number(string file) => Lines(file).FirstOrDefault() is { } line && line != Unlimited ? long.Parse(line, CultureInfo.InvariantCulture) : null;

    private long? Field(string file, string name) => Lines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) is { } line
        ? long.Parse(line[name.Length..].Trim().Split(' ')[0], CultureInfo.InvariantCulture)
        : null;

    private string[] Lines(string file) => Path.Combine(root, file) is var path && File.Exists(path) ? File.ReadAllLines(path) : [];
}
