using System.Diagnostics;
using Xunit.Sdk;

namespace FineTuneService.Api.Tests.Fuzz;

public sealed class FuzzTallyTests
{
    [Fact]
    public void A_run_that_is_cut_short_has_failed()
    {
        var tally = Tally();
        tally.Count(1, [0], TimeSpan.Zero, isTaken: true, null);
        Assert.Contains("cut short", Assert.ThrowsAny<XunitException>(() => tally.Judge(print: false)).Message);

        tally.Count(2, [0], TimeSpan.Zero, isTaken: false, null);
        tally.Judge(print: false);
    }

    [Theory]
    [InlineData(0, "NullReferenceException")]
    [InlineData(6, null)]
    public void So_has_one_with_a_failure_and_it_tells_how_to_repeat_it(int seconds, string? problem)
    {
        var tally = Tally();
        tally.Count(1, [0], TimeSpan.Zero, isTaken: true, null);
        tally.Count(2, [1, 2, 3], TimeSpan.FromSeconds(seconds), isTaken: false, problem);

        var told = Assert.ThrowsAny<XunitException>(() => tally.Judge(print: false)).Message;

        Assert.Contains("seed 2", told);
        Assert.Contains("AQID", told);
    }

    private static FuzzTally Tally() => new("kind", 2, Stopwatch.StartNew());
}
