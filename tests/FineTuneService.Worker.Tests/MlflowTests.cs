using System.Diagnostics;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker.Tests;

public sealed class MlflowTests : IAsyncLifetime
{
    private readonly House _house = new();
    private MlflowServer _mlflow = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private (string, string)[] Settings => [("Sinks__Mlflow__TrackingUri", _mlflow.Url.ToString()), ("Sinks__Mlflow__Token", "secret"), ("Sinks__Mlflow__Interval", "00:00:00.2")];

    public async ValueTask InitializeAsync()
    {
        await _house.InitializeAsync();
        _mlflow = await MlflowServer.Start();
    }

    public async ValueTask DisposeAsync()
    {
        await _house.DisposeAsync();
        await _mlflow.DisposeAsync();
    }

    [Fact]
    public async Task A_server_that_was_away_is_told_everything_once_and_no_run_waits_for_it()
    {
        _mlflow.IsAway = true;
        _house.StartWorker(Settings);
        _house.StartWorker(Settings); // Only one of them tells.
        var id = await _house.Enqueue(steps: 20, reportTo: "mlflow");
        var silent = await _house.Enqueue(steps: 5);
        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);
        await _house.WaitFor(silent, job => job.Status == JobStatus.Succeeded);
        Assert.Empty(_mlflow.Runs);

        _mlflow.IsAway = false;
        var run = await Told(run => run.Tags.ContainsKey("finetune.version"));

        Assert.Equal((id, id, "FINISHED", job.FinishedAt!.Value.ToUnixTimeMilliseconds()), (run.Name, run.Tags["finetune.job_id"], run.Status, run.EndTime));
        Assert.Equal(("20", "tiny-bert-en", "ds_train", "mlflow"), (run.Parameters["training.max_steps"], run.Parameters["base_model"], run.Parameters["dataset.train"], run.Parameters["training.report_to"]));
        await using var db = await _house.Database();
        var metrics = await db.Metrics.Where(metric => metric.JobId == id).OrderBy(metric => metric.Seq).ThenBy(metric => metric.Name).ToListAsync(Cancel);
        Assert.Equal(
            metrics.Select(metric => (metric.Name, metric.Value, metric.Time.ToUnixTimeMilliseconds(), metric.Step)).Order(),
            run.Metrics.Select(metric => (metric.Key, metric.Value, metric.Timestamp, metric.Step)).Order());
        Assert.Equal("0", run.Experiment); // MLflow's own name for its first is that of our first project.
        Assert.Empty(_mlflow.Refusals);
        Assert.Single(_mlflow.Runs);
    }

    [Fact]
    public async Task A_run_is_followed_while_it_runs_and_a_cancelled_one_is_killed()
    {
        _house.StartWorker([.. Settings, ("Sinks__Mlflow__Experiment", "film reviews")]);
        var id = await _house.Enqueue(steps: 5000, reportTo: "mlflow");

        var run = await Told(run => run.Metrics.Exists(metric => metric.Key == "loss"));
        Assert.Equal("RUNNING", run.Status);
        Assert.Equal(["Could not find experiment with name 'film reviews'"], _mlflow.Refusals);
        await _house.Requests.Cancel(id, Cancel);
        await Told(run => run.Status == "KILLED");
    }

    private async Task<MlflowServer.Run> Told(Func<MlflowServer.Run, bool> wanted)
    {
        for (var patience = Stopwatch.StartNew(); ; await Task.Delay(50, Cancel))
        {
            lock (_mlflow.Runs)
                if (_mlflow.Runs.Find(run => wanted(run)) is { } found)
                    return found;
            Assert.True(patience.Elapsed < TimeSpan.FromSeconds(60), string.Join('\n', _mlflow.Refusals));
        }
    }
}
