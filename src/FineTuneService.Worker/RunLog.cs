using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Worker;

/// <summary>A run's events.jsonl as its worker reads it.</summary>
internal static class RunLog
{
    private const int MaxBatchBytes = 1 << 20;

    /// <summary>The whole lines from an offset on, up to a megabyte; a line without its end is still being written, or was torn.</summary>
    public static (List<LogLine> Lines, long Next) Read(RunFolder folder, long offset)
    {
        var lines = new List<LogLine>();
        if (!File.Exists(folder.Events))
            return (lines, offset);
        using var file = new FileStream(folder.Events, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.Position = offset;
        var buffer = new byte[Math.Clamp(file.Length - offset, 0, MaxBatchBytes)];
        var filled = file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        var start = 0;
        for (int end; (end = Array.IndexOf(buffer, (byte)'\n', start, filled - start)) >= 0; start = end + 1)
        {
            var json = Encoding.UTF8.GetString(buffer, start, end - start);
            lines.Add(new(JsonSerializer.Deserialize<TrainingEvent>(json, SnakeCaseJson.Options)!, json));
        }
        return (lines, offset + start);
    }

    /// <summary>The events up to a seq.</summary>
    public static IEnumerable<TrainingEvent> Until(RunFolder folder, long seq)
    {
        for (var (lines, next) = Read(folder, 0); lines.Count > 0; (lines, next) = Read(folder, next))
            foreach (var line in lines)
                if (line.Event.Seq <= seq)
                    yield return line.Event;
                else
                    yield break;
    }

    /// <summary>Begins a log whose earlier lines are on another machine, and in the database: what is appended counts on from this line.</summary>
    public static void Begin(RunFolder folder, TrainingEvent first) => File.WriteAllText(folder.Events, JsonSerializer.Serialize(first, SnakeCaseJson.Options) + "\n");
}
