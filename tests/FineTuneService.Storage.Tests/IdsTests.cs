using FineTuneService.Contracts;

namespace FineTuneService.Storage.Tests;

public sealed class IdsTests
{
    [Fact]
    public void Ids_of_one_millisecond_sort_by_the_time_they_were_made()
    {
        string[] made = [.. Enumerable.Range(0, 2000).Select(_ => NextMicrosecond())];

        Assert.Equal(made.Order(StringComparer.Ordinal), made);
        Assert.Equal(made.Length, made.Distinct().Count());
        Assert.All(made, id => Assert.Equal(7, Ids.GuidOf(id)!.Value.Version));
        Assert.True(made.GroupBy(id => id[..16]).Max(millisecond => millisecond.Count()) > 1);
    }

    private static string NextMicrosecond()
    {
        var made = TimeProvider.System.GetUtcNow();
        SpinWait.SpinUntil(() => TimeProvider.System.GetUtcNow() - made >= TimeSpan.FromMicroseconds(1));
        return Ids.NewJob();
    }
}
