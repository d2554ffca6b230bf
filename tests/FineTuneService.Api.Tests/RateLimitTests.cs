using System.Diagnostics;
using System.Net;
using FineTuneService.Api.Access;
using FineTuneService.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

public sealed class RateLimitTests(Api api)
{
    private const int PerMinute = 90, AtOnce = PerMinute / 10;

    [Fact]
    public async Task Who_asks_too_often_is_told_when_to_come_back_and_nobody_else_is()
    {
        await using var own = await OwnApi.Start(api, ("Access__RequestsPerMinute", $"{PerMinute}"));
        var greedy = own.Client(Api.Key);

        var answers = await Task.WhenAll(Enumerable.Range(0, 3 * AtOnce).Select(_ => greedy.GetAsync("/me", Api.Cancel)));

        var served = answers.Count(answer => answer.StatusCode == HttpStatusCode.OK);
        Assert.InRange(served, AtOnce, 2 * AtOnce); // Some come back while the others are on their way.
        var refused = answers.Where(answer => answer.StatusCode != HttpStatusCode.OK).ToList();
        Assert.All(refused, answer => Assert.InRange(answer.Headers.RetryAfter?.Delta ?? TimeSpan.Zero, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1)));
        Assert.Contains("Retry-After", (string?)(await Api.Read(refused[0], HttpStatusCode.TooManyRequests))["detail"]);

        await Api.Read(await own.Client(await AnotherKey()).GetAsync("/me", Api.Cancel), HttpStatusCode.OK);
        await Api.Read(await own.Client(null).GetAsync("/me", Api.Cancel), HttpStatusCode.Unauthorized);
        Assert.Equal(HttpStatusCode.OK, (await greedy.GetAsync("/health/live", Api.Cancel)).StatusCode);
        await Task.Delay(refused[^1].Headers.RetryAfter!.Delta!.Value, Api.Cancel); // As it was told.
        await Api.Read(await greedy.GetAsync("/me", Api.Cancel), HttpStatusCode.OK);
        foreach (var answer in answers)
            answer.Dispose();
        await AsManyAreServedAsTheLimitSays(own.Client(await AnotherKey()));
    }

    /// <summary>Asks until its bucket is empty and has been filling for a while: what was served by then is what it held and what ran in.</summary>
    private static async Task AsManyAreServedAsTheLimitSays(HttpClient client)
    {
        var (clock, served, isEmpty) = (Stopwatch.StartNew(), 0, false);
        for (; clock.Elapsed < TimeSpan.FromSeconds(4) || !isEmpty; isEmpty = !await Serves())
            await Task.Delay(20, Api.Cancel);

        var expected = AtOnce + PerMinute * clock.Elapsed.TotalMinutes;
        Assert.InRange((double)served, expected - 2, expected + 1); // It fills in the limiter's own steps. Two thirds of the limit would have served five less.

        async Task<bool> Serves()
        {
            using var answer = await client.GetAsync("/me", Api.Cancel);
            served += answer.StatusCode == HttpStatusCode.OK ? 1 : 0;
            return answer.StatusCode == HttpStatusCode.OK;
        }
    }

    private async Task<string> AnotherKey()
    {
        var (key, row) = api.Services.GetRequiredService<ApiKeys>().Create(Project.Default, "modest", ["jobs:read"], null);
        await api.InDatabase(db =>
        {
            db.ApiKeys.Add(row);
            return db.SaveChangesAsync(Api.Cancel);
        });
        return key;
    }
}
