namespace FineTuneService.Training;

/// <summary>How fast training goes: since the last reading for the log, and on the whole for the time left. Evaluation and sample texts do not count.</summary>
internal sealed class Pace
{
    private long _rows, _tokens;
    private int _steps, _allSteps;
    private double _allSeconds;

    /// <summary>Timestamp from which the current reading counts.</summary>
    public long Since { get; set; }

    private TimeSpan Excluded { get; set; }

    public void Count(long rows, long tokens)
    {
        _rows += rows;
        _tokens += tokens;
        _steps++;
    }

    public void Exclude(TimeSpan elapsed) => Excluded += elapsed;

    public (double SamplesPerSecond, double TokensPerSecond, double SecondsPerStep) Read(TimeProvider clock)
    {
        var seconds = Math.Max(1e-9, (clock.GetElapsedTime(Since) - Excluded).TotalSeconds);
        (_allSteps, _allSeconds) = (_allSteps + _steps, _allSeconds + seconds);
        var pace = (_rows / seconds, _tokens / seconds, _allSeconds / Math.Max(1, _allSteps));
        (_rows, _tokens, _steps, Excluded, Since) = (0, 0, 0, TimeSpan.Zero, clock.GetTimestamp());
        return pace;
    }
}
