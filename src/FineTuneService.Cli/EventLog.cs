using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Cli;

/// <summary>
/// Appends a run's events to <c>events.jsonl</c>. Whoever reads it counts on <c>seq</c> without gaps and on whole lines,
/// so a last line that a crash has torn is cut off before anything is appended; and lines for which the disk has no room wait until it has.
/// </summary>
internal sealed class EventLog : IDisposable
{
    private readonly FileStream _file;
    private readonly TimeProvider _clock;
    private readonly MemoryStream _waiting = new();
    private long _seq;

    /// <param name="attempt">Null: one more than the last attempt in the log.</param>
    public EventLog(string path, int? attempt, TimeProvider clock)
    {
        _clock = clock;
        _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
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
        _waiting.Write([.. JsonSerializer.SerializeToUtf8Bytes(stamped, SnakeCaseJson.Options), (byte)'\n']);
        TryWrite();
        try
        {
            Written?.Invoke(stamped);
        }
        catch (Exception error) when (FullDisk.Is(error))
        {
            // Standard output is a file on the same disk; the event is not lost.
        }
    }

    /// <exception cref="IOException">When the disk still has no room for what waits.</exception>
    public void Dispose()
    {
        using (_file)
        {
            if (_waiting.Length > 0 && !TryWrite())
                throw FullDisk.Error("The last events found no room on the disk.");
        }
    }

    private bool TryWrite()
    {
        var end = _file.Position;
        try
        {
            // One write a line: a reader sees it whole or, after a crash, torn at the very end.
            _file.Write(_waiting.GetBuffer().AsSpan(0, (int)_waiting.Length));
            _file.Flush();
            _waiting.SetLength(0);
            return true;
        }
        catch (Exception error) when (FullDisk.Is(error))
        {
            _file.SetLength(end);
            _file.Position = end;
            return false;
        }
    }

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
