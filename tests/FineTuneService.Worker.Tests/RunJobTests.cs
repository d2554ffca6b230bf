using System.Diagnostics;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker.Tests;

/// <summary>One run at a time: two cores are shared by the trainers.</summary>
public sealed class RunJobTests : IAsyncLifetime
{
    private readonly House _house = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _house.InitializeAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task Cancel_reaches_the_trainer_within_two_seconds_and_keeps_a_checkpoint()
    {
        _house.StartWorker();
        var id = await _house.Enqueue(steps: 100_000);
        await _house.WaitFor(id, job => job.Step >= 5);

        var asked = TimeProvider.System.GetUtcNow();
        await _house.Requests.Cancel(id, Cancel);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Cancelled);
        var lastStep = (await _house.Losses(id))[^1];
        Assert.InRange((lastStep.Time - asked).TotalSeconds, 0, 2);
        await using var db = await _house.Database();
        var checkpoint = await db.Checkpoints.SingleAsync(row => row.JobId == id && row.DeletedAt == null, Cancel);
        Assert.Equal(job.Step, checkpoint.Step);
        Assert.True(File.Exists(Path.Combine(_house.Storage.Run(id).Path, checkpoint.Path, "model.safetensors")));
    }

    [Fact]
    public async Task What_is_replayed_or_remembered_is_brought_to_the_trainer()
    {
        _house.StartWorker();
        var id = await _house.Enqueue(steps: 3, change: spec =>
        {
            spec["task"] = "masked-lm";
            spec["dataset"]!["validation"] = null;
            spec["dataset"]!["validation_split"] = 0;
            spec["dataset"]!["replay"] = new JsonObject { ["dataset"] = "ds_dev", ["fraction"] = 0.2 };
            spec["dataset"]!["earlier"] = new JsonArray("ds_dev");
        });

        await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);

        await using var db = await _house.Database();
        var started = JsonNode.Parse(await db.Events.Where(row => row.JobId == id && row.Type == "started").Select(row => row.Data).SingleAsync(Cancel))!;
        Assert.Equal((500, 100), ((int)started["train_rows"]!, (int)started["replayed_rows"]!)); // 400 of 400, and as many of 64 as make a fifth.
        var evaluations = await db.Events.Where(row => row.JobId == id && row.Type == "evaluate").Select(row => row.Data).ToListAsync(Cancel);
        Assert.Equal(2, evaluations.Count(data => data.Contains("earlier_0_loss", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_trainer_that_is_killed_is_started_again_where_it_was()
    {
        _house.StartWorker();
        var id = await _house.Enqueue(steps: 130);
        await _house.WaitFor(id, job => job.Step >= 60);
        using (var trainer = _house.Trainer(id))
            trainer.Kill();

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);

        Assert.Equal(2, job.Attempt);
        await LossesAreWhole(id, 130);
        await using var db = await _house.Database();
        Assert.Contains("signal 9", await db.Events.Where(row => row.JobId == id && row.Type == "status").Select(row => row.Data).ToListAsync(Cancel) is var events ? string.Join('\n', events) : "", StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_worker_that_shuts_down_hands_its_job_over()
    {
        var first = _house.StartWorker();
        var id = await _house.Enqueue(steps: 150);
        await _house.WaitFor(id, job => job.Step >= 20);
        Process.Start("kill", ["-TERM", $"{first.Id}"]).WaitForExit();
        await first.WaitForExitAsync(Cancel);
        var handed = await _house.WaitFor(id, job => job.Status == JobStatus.Retrying);
        Assert.Equal(handed.Step, (await CheckpointSteps(id)).Max());

        _house.StartWorker();
        await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);
        await LossesAreWhole(id, 150);
    }

    [Fact]
    public async Task The_database_may_go_away_in_mid_run()
    {
        var lease = TimeSpan.FromSeconds(2);
        _house.StartWorker(("Worker__HeartbeatLease", $"{lease}"), ("Worker__Slots", "2")); // The other slot would take the job if its worker counted as dead.
        var id = await _house.Enqueue(steps: 150);
        await _house.WaitFor(id, job => job.Step >= 10);
        _house.KillPostgres();
        using (var trainer = _house.Trainer(id))
            await trainer.WaitForExitAsync(Cancel); // It trains to its end without a database.
        await Task.Delay(3 * lease, Cancel);
        await _house.StartPostgresAgain();

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);

        Assert.Equal(1, job.Attempt);
        await LossesAreWhole(id, 150);
    }

    private async Task LossesAreWhole(string id, int steps)
    {
        var losses = await _house.Losses(id);
        Assert.Equal(Enumerable.Range(1, steps), losses.Select(metric => metric.Step));
        Assert.Equal(losses.Count, losses.DistinctBy(metric => metric.Seq).Count());
    }

    private async Task<List<int>> CheckpointSteps(string id)
    {
        await using var db = await _house.Database();
        return await db.Checkpoints.Where(row => row.JobId == id && row.DeletedAt == null).Select(row => row.Step).ToListAsync(Cancel);
    }
}
