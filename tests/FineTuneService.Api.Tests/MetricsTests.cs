using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

public sealed class MetricsTests(Api api)
{
    [Fact]
    public async Task Pages_hold_whole_log_lines_and_everything_once()
    {
        var id = await WithMetrics(9);

        var (seen, after) = (new List<(long, string)>(), 0L);
        JsonObject page;
        do
        {
            page = await api.Get($"/jobs/{id}/metrics?limit=4&after={after}");
            after = (long)page["next_after"]!;
            Assert.Equal(6, page["data"]!.AsArray().Count); // 4 and the rest of the second line.
            seen.AddRange(page["data"]!.AsArray().Select(metric => ((long)metric!["seq"]!, (string)metric["name"]!)));
        }
        while ((bool)page["has_more"]! && after < 8);

        Assert.Equal(from seq in Enumerable.Range(1, 8) from name in new[] { "grad_norm", "learning_rate", "loss" } select ((long)seq, name), seen);
    }

    [Fact]
    public async Task Only_the_names_asked_for_are_told()
    {
        var id = await WithMetrics(3);

        var metrics = (await api.Get($"/jobs/{id}/metrics?names=loss,eval_loss&after=1"))["data"]!.AsArray();

        Assert.Equal([2, 3], metrics.Select(metric => (int)metric!["step"]!));
        Assert.All(metrics, metric => Assert.Equal("loss", (string)metric!["name"]!));
    }

    [Fact]
    public async Task A_loss_that_is_no_number_has_no_value()
    {
        var id = await WithMetrics(1, double.NaN);

        var metric = Assert.Single((await api.Get($"/jobs/{id}/metrics?names=loss"))["data"]!.AsArray())!.AsObject();

        Assert.False(metric.ContainsKey("value"));
    }

    [Fact]
    public async Task A_chart_has_few_points_of_each_metric_and_every_spike()
    {
        var id = await api.PutJob(JobStatus.Running);
        var lines = from seq in Enumerable.Range(1, 5000)
                    let happened = new StepLogged { Seq = seq, Attempt = 1, Step = seq, Metrics = new Dictionary<string, double> { ["loss"] = seq == 3333 ? 1000 : 1, ["learning_rate"] = seq } }
                    select new LogLine(happened, JsonSerializer.Serialize<TrainingEvent>(happened, SnakeCaseJson.Options));
        Assert.True(await api.Services.GetRequiredService<RunProjection>().Apply(id, 1, [.. lines], 1, Api.Cancel));

        var chart = await api.Get($"/jobs/{id}/metrics?points=50");

        Assert.False((bool)chart["has_more"]!);
        var points = chart["data"]!.AsArray().ToLookup(point => (string)point!["name"]!, point => ((int)point!["step"]!, (double)point["value"]!));
        Assert.Equal(["learning_rate", "loss"], points.Select(metric => metric.Key).Order());
        Assert.All(points, metric => Assert.InRange(metric.Count(), 25, 50));
        Assert.Contains((3333, 1000), points["loss"]);
        Assert.All((await api.Get($"/jobs/{id}/metrics?points=50&names=loss"))["data"]!.AsArray(), point => Assert.Equal("loss", (string)point!["name"]!));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2001)]
    public async Task Points_have_bounds(int points)
    {
        var id = await api.PutJob(JobStatus.Running);

        var problem = await api.Get($"/jobs/{id}/metrics?points={points}", HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["?points"], Api.Pointers(problem));
    }

    private async Task<string> WithMetrics(int lines, double value = 1)
    {
        var id = await api.PutJob(JobStatus.Running);
        await api.InDatabase(db =>
        {
            db.Metrics.AddRange(
                from seq in Enumerable.Range(1, lines)
                from name in new[] { "loss", "learning_rate", "grad_norm" }
                select new Metric { JobId = id, Seq = seq, Name = name, Step = seq, Epoch = 0, Value = value, Time = TimeProvider.System.GetUtcNow() });
            return db.SaveChangesAsync(Api.Cancel);
        });
        return id;
    }
}
