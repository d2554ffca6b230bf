using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace FineTuneService.EndToEnd.Tests.Load;

/// <summary>A house under load, all of it on one machine. The figures are printed; the bars hold for two cores.</summary>
[Collection("load")]
public sealed class LoadTests
{
    private static readonly TimeSpan TrainInterval = TimeSpan.FromSeconds(15);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private sealed record Load(int Queued, int Listeners, double PollsPerSecond, double PostsPerSecond, TimeSpan Duration);

    private sealed record Figures(Latencies Job, Latencies List, Latencies Post, Latencies Start);

    [Fact]
    [Trait("Suite", "load")]
    public async Task Nothing_fails_under_a_small_load() => await Run(new(Queued: 100, Listeners: 20, PollsPerSecond: 60, PostsPerSecond: 2, TimeSpan.FromSeconds(5)));

    [Fact]
    [Trait("Suite", "load")]
    public async Task Five_minutes_of_polls_streams_posts_and_runs_over_2000_queued_jobs()
    {
        var figures = await Run(new(Queued: 2000, Listeners: 200, PollsPerSecond: 500, PostsPerSecond: 3, TimeSpan.FromMinutes(5)));

        Assert.InRange(figures.Job.Quantile(0.99).TotalMilliseconds, 0, 50);
        Assert.InRange(figures.List.Quantile(0.99).TotalMilliseconds, 0, 50);
        Assert.InRange(figures.Post.Quantile(0.99).TotalMilliseconds, 0, 100);
        Assert.InRange(figures.Start.Quantile(0.5).TotalMilliseconds, 0, 300);
    }

    private static async Task<Figures> Run(Load load)
    {
        await using var service = new Service();
        await service.InitializeAsync();
        var dataset = await service.Upload("train.tsv", 200);
        var (jobs, seconds) = await Fill(service, dataset, load.Queued);
        Tell($"{load.Queued} jobs posted by 8 clients in {seconds:F1} s");
        await using var listeners = new EventListeners();
        foreach (var job in jobs.Take(load.Listeners))
            await listeners.Open(service.Http, job, Cancel);
        var worker = service.StartWorker();
        await service.WaitForStatus(await service.PostJob(Spec(dataset, requires: null)), "succeeded"); // All is loaded and compiled once.

        await Polls(load with { Duration = load.Duration / 20 }, new("warm-up"), new("warm-up")); // The runtime compiles what is called often a second time.

        var figures = new Figures(new("GET /jobs/{id}"), new("GET /jobs"), new("POST /jobs"), new("201 to trainer started"));
        var (api, client) = (new ProcessMeter("API", service.Api), new ProcessMeter("load client", System.Diagnostics.Process.GetCurrentProcess()));
        var (pickup, began) = (new ProcessMeter("worker", worker), TimeProvider.System.GetTimestamp());
        await Task.WhenAll(
            Polls(load, figures.Job, figures.List),
            OpenLoop.Run(load.PostsPerSecond, load.Duration, _ => service.PostJob(Spec(dataset, requires: "gpu")), _ => figures.Post, Cancel),
            Train(service, dataset, load.Duration, figures.Start));

        Tell($"for {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F0} s: {load.PollsPerSecond} polls/s (one in five the list), {load.PostsPerSecond} posts/s, {load.Listeners} streams, a run every {TrainInterval.TotalSeconds} s");
        foreach (var figure in new object[] { figures.Job, figures.List, figures.Post, figures.Start, api, pickup, client })
            Tell(figure.ToString()!);
        Tell($"streams: {listeners.Events} events, {listeners.Lines} lines, {listeners.Lost} lost");
        var queue = (await service.Get("/workers"))["queues"]!.AsArray().Single(queue => (string?)queue!["capability"] == "gpu")!;
        Tell($"queue: {queue["waiting"]} jobs wait");
        Assert.Equal(jobs.Count + figures.Post.Count, (int)queue["waiting"]!);
        Assert.Equal(0, figures.Job.Failed + figures.List.Failed + figures.Post.Failed + listeners.Lost);
        Assert.True(listeners.Events >= load.Listeners);
        return figures;

        Task Polls(Load load, Latencies one, Latencies list) =>
            OpenLoop.Run(load.PollsPerSecond, load.Duration, number => Poll(service.Http, IsOfOne(number) ? $"/jobs/{jobs[number * 7919 % jobs.Count]}" : "/jobs"), number => IsOfOne(number) ? one : list, Cancel);
    }

    private static bool IsOfOne(int number) => number % 5 != 0;

    /// <summary>Jobs that no worker here may take.</summary>
    private static async Task<(List<string> Ids, double Seconds)> Fill(Service service, string dataset, int count)
    {
        var (ids, began) = (new string[count], TimeProvider.System.GetTimestamp());
        await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Cancel }, async (number, _) => ids[number] = await service.PostJob(Spec(dataset, requires: "gpu")));
        return ([.. ids], TimeProvider.System.GetElapsedTime(began).TotalSeconds);
    }

    private static async Task Poll(HttpClient http, string path)
    {
        using var answer = await http.GetAsync(path, Cancel);
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode} {await answer.Content.ReadAsStringAsync(Cancel)}");
    }

    /// <summary>Posts one small job after another, each for a free slot, and trains it.</summary>
    private static async Task Train(Service service, string dataset, TimeSpan duration, Latencies started)
    {
        for (var began = TimeProvider.System.GetTimestamp(); TimeProvider.System.GetElapsedTime(began) < duration;)
        {
            var next = Task.Delay(TrainInterval, Cancel);
            using var answer = await service.Http.PostAsJsonAsync("/jobs", Spec(dataset, requires: null), Cancel);
            var accepted = TimeProvider.System.GetUtcNow();
            var id = (string)(await answer.Content.ReadFromJsonAsync<JsonObject>(Cancel))!["id"]!;
            await service.WaitForStatus(id, "succeeded");
            var running = (await service.Get($"/jobs/{id}/events"))["data"]!.AsArray().First(happened => (string?)happened!["data"]!["status"] == "running")!;
            started.Add(((DateTimeOffset)running["time"]!) - accepted); // Told when the process has been started.
            await next;
        }
    }

    private static object Spec(string dataset, string? requires) => new
    {
        name = $"load-{Guid.NewGuid():N}", // No two are alike.
        base_model = "tiny-bert-en",
        task = "text-classification",
        dataset = new { train = dataset, validation_split = 0 },
        training = new { max_steps = 1, per_device_train_batch_size = 4, max_length = 32 },
        scheduling = new { requires },
    };

    private static void Tell(FormattableString line) => Tell(FormattableString.Invariant(line));

    private static void Tell(string line) => Console.WriteLine(line);
}
