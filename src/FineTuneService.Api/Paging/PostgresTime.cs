namespace FineTuneService.Api.Paging;

internal static class PostgresTime
{
    /// <summary>In whole microseconds, as Postgres keeps it: what an answer tells at first is what it tells later.</summary>
    public static DateTimeOffset GetMicrosecondsNow(this TimeProvider clock)
    {
        var now = clock.GetUtcNow();
        return now.AddTicks(-(now.Ticks % TimeSpan.TicksPerMicrosecond));
    }
}
