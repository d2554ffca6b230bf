using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Cli;

/// <summary>
/// Appends a run's events to <c>events.jsonl</c>. Whoever reads it counts on <c>seq</c> without gaps and on whole lines,
/// so a last line that a crash has torn is cut off before anything is appended.
/// </summary>
internal sealed class EventLog : IDisposable
{
    private readonly FileStream _file;
    private readonly TimeProvider _clock;
    private long _seq;

    /// <param name="attempt">Null: one more than the last attempt in the log.</param>
    public EventLog(string path, int? attempt, TimeProvider clock)
    {
        _clock = clock;
        _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
        var last = CutTornLine(_file);
        _seq = last?.Seq ?? 0;
        Attempt = attempt ?? (last?.Attempt ?? 0) + 1;
    }

    public int Attempt { get; }

    /// <summary>Told about every event after it was written.</summary>
    public event Action<TrainingEvent>? Written;

    public void Append(TrainingEvent happened)
    {
        var stamped = happened with { Seq = ++_seq, Attempt = Attempt, Time = _clock.GetUtcNow() };
        // One write a line: a reader sees it whole or, after a crash, torn at the very end.
        _file.Write([.. JsonSerializer.SerializeToUtf8Bytes(stamped, SnakeCaseJson.Options), (byte)'\n']);
        _file.Flush();
        Written?.Invoke(stamped);
    }

    public void Dispose() => _file.Dispose();

    private static TrainingEvent? CutTornLine(FileStream file)
    {
        var bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        var end = Array.LastIndexOf(bytes, (byte)'\n') + 1;
        file.SetLength(end);
        file.Position = end;
        if (end == 0)
            return null;
        var start = Array.LastIndexOf(bytes, (byte)'\n', end - 2) + 1;
        return JsonSerializer.Deserialize<TrainingEvent>(Encoding.UTF8.GetString(bytes, start, end - start), SnakeCaseJson.Options);
    }
}
