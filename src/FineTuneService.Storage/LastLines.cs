namespace FineTuneService.Storage;

/// <summary>The last lines that a child process has written to its standard error, which come on other threads: for operators, not for users.</summary>
public sealed class LastLines(int most)
{
    private readonly Queue<string> _lines = new();

    /// <param name="line">Null: there are no more.</param>
    public void Add(string? line)
    {
        if (line is null)
            return;
        lock (_lines)
        {
            _lines.Enqueue(line);
            if (_lines.Count > most)
                _lines.Dequeue();
        }
    }

    public override string ToString()
    {
        lock (_lines)
            return string.Join('\n', _lines);
    }
}
