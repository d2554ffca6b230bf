using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage.Postgres;
using Npgsql;

namespace FineTuneService.EndToEnd.Tests.Load;

/// <summary>A run that logs as fast as no run does: a worker's pump brings it into the tables, and a chart of it is drawn.</summary>
[Collection("load")]
public sealed class MetricsLoadTests
{
    private const int LinesPerSecond = 20_000, Seconds = 60, Lines = LinesPerSecond * Seconds, Spike = 777_777;

    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Suite", "load")]
    public async Task A_minute_of_20_000_numbers_a_second_is_stored_and_drawn()
    {
        await using var service = new Service { Settings = new Dictionary<string, string> { ["Worker__TrainerPath"] = SilentTrainer.Make() } };
        await service.InitializeAsync();
        var worker = service.StartWorker();
        var id = await service.PostJob(new { dataset = new { train = await service.Upload("train.tsv", 20) }, base_model = "tiny-bert-en", task = "text-classification" });
        await service.WaitForStatus(id, "running");
        var folder = new RunFolder(Path.Combine(service.Data, "runs", id));
        var (pump, api) = (new ProcessMeter("worker", worker), new ProcessMeter("API", service.Api));

        var (clock, began) = (TimeProvider.System, TimeProvider.System.GetTimestamp());
        var most = 0;
        await using (var log = new StreamWriter(folder.Events))
            for (var written = 0; written < Lines;)
            {
                if (TimeSpan.FromSeconds((double)written / LinesPerSecond) - clock.GetElapsedTime(began) is { Ticks: > 0 } early)
                    await Task.Delay(early < Tick ? Tick : early, clock, Cancel);
                for (var due = Math.Min(Lines, (int)(clock.GetElapsedTime(began).TotalSeconds * LinesPerSecond)); written < due; written++)
                    await log.WriteLineAsync(Line(written + 1));
                await log.FlushAsync(Cancel);
                if (written % (LinesPerSecond / 2) < LinesPerSecond / 100)
                    most = Math.Max(most, written - (int)(await service.Get($"/jobs/{id}"))["progress"]!["step"]!);
            }
        var logged = clock.GetElapsedTime(began);
        await service.WaitForJob(id, job => (int)job["progress"]!["step"]! == Lines);
        Tell($"{Lines:N0} numbers logged in {logged.TotalSeconds:F1} s, stored {(clock.GetElapsedTime(began) - logged).TotalMilliseconds:F0} ms later; at most {most:N0} were on their way");
        Tell($"{pump}\n{api}");

        await using (var postgres = await EmbeddedPostgres.Start(Path.Combine(service.Data, "postgres"), Cancel))
        await using (var database = NpgsqlDataSource.Create(postgres.ConnectionString))
        {
            Assert.Equal((long)Lines, await Ask(database, $"SELECT count(*) FROM finetune.metrics WHERE job_id = '{id}' AND step = seq AND value = CASE WHEN seq = {Spike} THEN 1000000 ELSE 1::float8 / seq END"));
            Assert.Equal((long)Lines, await Ask(database, $"SELECT count(*) FROM (SELECT seq - lag(seq, 1, 0) OVER (ORDER BY id) AS distance FROM finetune.events WHERE job_id = '{id}' AND seq IS NOT NULL) AS row WHERE distance = 1"));
        }

        var chart = new Latencies("chart of 1,200,000 points");
        JsonArray drawn = [];
        for (var time = 0; time < 21; time++)
        {
            var asked = clock.GetTimestamp();
            drawn = (await service.Get($"/jobs/{id}/metrics?names=loss&points=1000"))["data"]!.AsArray();
            if (time > 0) // The first one also compiles.
                chart.Add(clock.GetElapsedTime(asked));
        }
        Tell($"{chart}");
        Assert.InRange(drawn.Count, 900, 1000);
        Assert.Contains(drawn, point => (int)point!["step"]! == Spike);
        Assert.InRange(chart.Quantile(0.9).TotalMilliseconds, 0, 150);

        await File.AppendAllTextAsync(folder.Events, Json(new RunFailed { Seq = Lines + 1, Attempt = 1, Step = Lines, Time = clock.GetUtcNow(), Reason = "All is told.", Faults = [] }) + "\n", Cancel);
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "done"), "", Cancel);
        await service.WaitForJob(id, job => (string?)job["status"] == "failed");
    }

    private static string Line(int step) => Json(new StepLogged
    {
        Seq = step,
        Attempt = 1,
        Time = TimeProvider.System.GetUtcNow(),
        Step = step,
        Metrics = new Dictionary<string, double> { ["loss"] = step == Spike ? 1e6 : 1.0 / step },
    });

    private static string Json(TrainingEvent happened) => JsonSerializer.Serialize(happened, SnakeCaseJson.Options);

    private static async Task<object?> Ask(NpgsqlDataSource database, string sql)
    {
        await using var command = database.CreateCommand(sql);
        return await command.ExecuteScalarAsync(Cancel);
    }

    private static void Tell(FormattableString line) => Console.WriteLine(FormattableString.Invariant(line));
}
