using System.Net;
using System.Text.Json.Nodes;

namespace FineTuneService.EndToEnd.Tests;

public sealed class SweepTests(Service service) : IClassFixture<Service>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Successive_halving_finds_the_best_job()
    {
        service.StartWorker();
        var posted = await service.Post("/sweeps", new
        {
            name = "rates",
            spec = new
            {
                base_model = "tiny-bert-en",
                task = "text-classification",
                dataset = new { train = await service.Upload("train.tsv", 200), validation = await service.Upload("dev.tsv", 64) },
                training = new { max_length = 32, logging_steps = 1 },
            },
            parameters = new Dictionary<string, object> { ["/training/learning_rate"] = new { values = new[] { 3e-2, 3e-4 } }, ["/training/lr_scheduler_type"] = new { values = new[] { "constant" } } },
            strategy = new { type = "successive_halving", trials = 2, reduction_factor = 2, min_resource = 4 },
            direction = "minimize",
            max_concurrent_jobs = 1,
        }, HttpStatusCode.Created);

        var sweep = await WaitForEnd((string)posted["id"]!);

        Assert.Equal("succeeded", (string)sweep["status"]!);
        var trials = sweep["trials"]!.AsArray();
        Assert.Equal([(0, 4), (0, 4), (1, 8)], trials.Select(trial => ((int)trial!["rung"]!, (int)trial["step"]!)));
        Assert.Equal(3e-4, (double)trials[2]!["parameters"]!["/training/learning_rate"]!); // The one that does not jump about goes on.
        var metrics = trials.Select(trial => (double)trial!["metric"]!).ToList();
        Assert.Equal(metrics.Min(), (double)sweep["best"]!["metric"]!); // Of any rung: longer is not always better.
        var winner = trials[metrics.IndexOf(metrics.Min())]!;
        Assert.Equal((string)winner["job"]!, (string)sweep["best"]!["job"]!);
        var best = await service.Get($"/jobs/{sweep["best"]!["job"]}");
        Assert.Equal(("succeeded", "rates", (int)winner["step"]!), ((string)best["status"]!, (string)best["name"]!, (int)best["progress"]!["step"]!));
        Assert.Equal(metrics.Min(), (double)best["best"]!["value"]!);
        Assert.NotEmpty((await service.Get($"/jobs/{sweep["best"]!["job"]}/checkpoints"))["data"]!.AsArray());
    }

    private async Task<JsonObject> WaitForEnd(string id)
    {
        while (true)
        {
            var sweep = await service.Get($"/sweeps/{id}");
            if ((string)sweep["status"]! != "running")
                return sweep;
            await Task.Delay(100, Cancel);
        }
    }
}
