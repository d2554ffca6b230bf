namespace FineTuneService.Storage.Tests;

public sealed class WorkerSilenceTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    private readonly SettableClock _clock = new();
    private readonly WorkerSilence _silence;

    public WorkerSilenceTests() => _silence = new(Lease, _clock);

    [Fact]
    public void While_the_database_answers_it_is_the_lease()
    {
        Assert.Equal(Lease, _silence.Longest);
        After(1000, _silence.DatabaseAnswers);
        Assert.Equal(Lease, _silence.Longest);
    }

    [Fact]
    public void The_time_that_the_database_was_away_does_not_count_for_a_lease_after_it()
    {
        After(0, _silence.DatabaseAnswers);
        After(2, _silence.DatabaseIsAway);
        After(60, _silence.DatabaseIsAway);
        Assert.Equal(Lease + TimeSpan.FromSeconds(62), _silence.Longest);
        After(3, _silence.DatabaseAnswers);
        After(14, _silence.DatabaseAnswers);
        Assert.Equal(Lease + TimeSpan.FromSeconds(79), _silence.Longest);
        After(2, _silence.DatabaseAnswers);
        Assert.Equal(Lease, _silence.Longest);
    }

    [Fact]
    public void A_database_that_goes_again_at_once_was_away_all_the_time()
    {
        After(0, _silence.DatabaseAnswers);
        After(2, _silence.DatabaseIsAway);
        After(30, _silence.DatabaseAnswers);
        After(2, _silence.DatabaseIsAway);
        After(30, _silence.DatabaseAnswers);
        Assert.Equal(Lease + TimeSpan.FromSeconds(64), _silence.Longest);
    }

    [Fact]
    public void Who_has_never_heard_the_database_counts_nobody_as_dead()
    {
        After(2, _silence.DatabaseIsAway);
        After(30, _silence.DatabaseAnswers);
        Assert.True(_silence.Longest > TimeSpan.FromDays(365));
    }

    private void After(double seconds, Action act)
    {
        _clock.Now += TimeSpan.FromSeconds(seconds);
        act();
    }

    private sealed class SettableClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
