using System.Text.Json;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Storage.Tests;

public sealed class MetricRollupTests(Cluster cluster) : IAsyncLifetime
{
    private const int Lines = 3000;

    private readonly List<LogLine> _log = [];
    private ServiceProvider _services = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _services = await cluster.CreateDatabase();
        await _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_1"), Cancel);
        await _services.GetRequiredService<JobStates>().Claim("job_1", "here", TimeSpan.Zero, Cancel);
        Add(Started(0));
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(10_000)]
    public async Task In_whatever_pieces_a_log_comes_its_buckets_are_those_of_the_stored_numbers(int piece)
    {
        foreach (var step in Enumerable.Range(1, piece == 1 ? 150 : Lines))
            Log(step);
        await Apply(piece);

        await BucketsAreThoseOfTheNumbers();
    }

    [Fact]
    public async Task What_a_resumed_run_voids_is_in_no_bucket()
    {
        foreach (var step in Enumerable.Range(1, 1000))
            Log(step, step == 700 ? 1e9 : null);
        await Apply(128);
        Add(Started(500));
        foreach (var step in Enumerable.Range(501, 900))
            Log(step);
        await Apply(128);

        await BucketsAreThoseOfTheNumbers();
        Assert.DoesNotContain(await Chart(100), metric => metric.Value == 1e9);
    }

    [Theory]
    [InlineData(20, 0)] // Of buckets, and the lines after the last one.
    [InlineData(20, 100)] // Which begins within one.
    [InlineData(500, 0)] // Of lines.
    [InlineData(500, 2990)]
    public async Task A_chart_has_few_points_and_every_spike(int points, int after)
    {
        foreach (var step in Enumerable.Range(1, Lines))
            Log(step, step switch { 120 => 1e6, 1500 => -1e6, 2995 => 1e7, _ => null });
        await Apply(10_000);

        var chart = await Chart(points, after);

        var losses = chart.Where(metric => metric.Name == "loss").ToList();
        Assert.InRange(losses.Count, Math.Min(5, points / 2), points);
        Assert.Equal(new[] { 120, 1500, 2995 }.Where(step => step > after), losses.Where(metric => Math.Abs(metric.Value) >= 1e6).Select(metric => metric.Step));
        Assert.Equal(chart.OrderBy(metric => metric.Seq).ThenBy(metric => metric.Name, StringComparer.Ordinal).Select(metric => (metric.Seq, metric.Name)), chart.Select(metric => (metric.Seq, metric.Name)));
        Assert.Equal(_log.Count(line => line.Event is Evaluated && line.Event.Seq > after), chart.Count(metric => metric.Name == "eval_loss"));
    }

    [Fact]
    public async Task A_short_run_is_told_whole()
    {
        foreach (var step in Enumerable.Range(1, 40))
            Log(step);
        await Apply(10_000);

        Assert.Equal(Enumerable.Range(1, 40), (await Chart(200)).Select(metric => metric.Step));
    }

    private async Task BucketsAreThoseOfTheNumbers()
    {
        await using var db = await Database();
        var end = MetricRollup.End((await db.Jobs.SingleAsync(Cancel)).LogSeq);
        var expected = from metric in await db.Metrics.Where(metric => metric.Seq < end).ToListAsync(Cancel)
                       group metric by (metric.Name, Bucket: metric.Seq / MetricRollup.Width) into bucket
                       orderby bucket.Key
                       select (bucket.Key.Name, bucket.Key.Bucket, Low: bucket.Min(metric => metric.Value), High: bucket.Max(metric => metric.Value));
        var rollups = await db.MetricRollups.ToListAsync(Cancel);
        Assert.NotEmpty(rollups);
        Assert.Equal(expected, rollups.OrderBy(rollup => (rollup.Name, rollup.Bucket)).Select(rollup => (rollup.Name, rollup.Bucket, rollup.Low, rollup.High)));
        var values = await db.Metrics.ToDictionaryAsync(metric => (metric.Seq, metric.Name), metric => metric.Value, Cancel);
        Assert.All(rollups, rollup => Assert.Equal((rollup.Low, rollup.High), (values[(rollup.LowSeq, rollup.Name)], values[(rollup.HighSeq, rollup.Name)])));
    }

    private async Task<List<Metric>> Chart(int points, int after = 0)
    {
        await using var db = await Database();
        return await MetricRollup.Chart(db, await db.Jobs.SingleAsync(Cancel), after, [], points).ToListAsync(Cancel);
    }

    private async Task Apply(int piece)
    {
        for (var end = piece; end < _log.Count + piece; end += piece)
            Assert.True(await _services.GetRequiredService<RunProjection>().Apply("job_1", 1, _log[..Math.Min(end, _log.Count)], end, Cancel));
    }

    private static RunStarted Started(int step) => new()
    {
        Step = step,
        TotalSteps = Lines,
        TrainRows = 1,
        ValidationRows = 1,
        TrainableParameters = 1,
        TotalParameters = 1,
        Device = "cpu",
        TruncatedRows = 0,
        TruncatedTokens = 0,
    };

    private void Log(int step, double? loss = null)
    {
        Add(new StepLogged { Step = step, Metrics = new Dictionary<string, double> { ["loss"] = loss ?? Math.Sin(step) } });
        if (step % 250 == 0)
            Add(new Evaluated { Step = step, Split = "validation", Metrics = new Dictionary<string, double> { ["eval_loss"] = step } });
    }

    private void Add(TrainingEvent happened)
    {
        var stamped = happened with { Seq = _log.Count + 1, Attempt = 1, Time = TimeProvider.System.GetUtcNow() };
        _log.Add(new(stamped, JsonSerializer.Serialize(stamped, SnakeCaseJson.Options)));
    }

    private Task<FineTuneDb> Database() => _services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);
}
