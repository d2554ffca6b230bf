using System.Diagnostics;
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
        await _house.States.RequestCancel(id, Cancel);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Cancelled);
        var lastStep = (await _house.Losses(id))[^1];
        Assert.InRange((lastStep.Time - asked).TotalSeconds, 0, 2);
        await using var db = await _house.Database();
        var checkpoint = await db.Checkpoints.SingleAsync(row => row.JobId == id && row.DeletedAt == null, Cancel);
        Assert.Equal(job.Step, checkpoint.Step);
        Assert.True(File.Exists(Path.Combine(_house.Storage.Run(id).Path, checkpoint.Path, "model.safetensors")));
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
    public async Task A_trainer_that_stands_still_is_told_of_and_so_is_that_it_goes_on()
    {
        _house.StartWorker(("Worker__StallPatience", "00:00:04"));
        var id = await _house.Enqueue(steps: 100_000);
        await _house.WaitFor(id, job => job.Step >= 5);
        using (var trainer = _house.Trainer(id))
        {
            Process.Start("kill", ["-STOP", $"{trainer.Id}"]).WaitForExit();
            await Told(id, "computes nothing: it waits for something");
            Process.Start("kill", ["-CONT", $"{trainer.Id}"]).WaitForExit();
        }
        await Told(id, "The trainer goes on after");
        await _house.States.RequestCancel(id, Cancel);
        await _house.WaitFor(id, job => job.Status == JobStatus.Cancelled);

        async Task Told(string job, string message)
        {
            while (true)
            {
                await using var db = await _house.Database();
                var notes = await db.Events.Where(row => row.JobId == job && row.Type == "note").Select(row => row.Data).ToListAsync(Cancel);
                if (notes.Any(note => note.Contains("\"stalled\"", StringComparison.Ordinal) && note.Contains(message, StringComparison.Ordinal)))
                    return;
                await Task.Delay(100, Cancel);
            }
        }
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
        _house.StartWorker();
        var id = await _house.Enqueue(steps: 150);
        await _house.WaitFor(id, job => job.Step >= 10);
        _house.KillPostgres();
        using (var trainer = _house.Trainer(id))
            await trainer.WaitForExitAsync(Cancel); // It trains to its end without a database.
        await _house.StartPostgresAgain();

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);

        Assert.Equal(1, job.Attempt);
        await LossesAreWhole(id, 150);
    }

    [Fact]
    public async Task A_job_that_loses_every_attempt_fails_with_the_cause()
    {
        _house.StartWorker(("Worker__TrainerPath", "/bin/false"), ("Worker__RetryDelay", "00:00:00"));
        var id = await _house.Enqueue(steps: 10);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Failed);

        Assert.Equal(3, job.Attempt);
        Assert.Contains("exit code 1", job.Reason, StringComparison.Ordinal);
    }

    /// <summary>A trainer that dies as one does in which the C++ runtime finds no memory: there is nothing to catch, and only its supervisor can tell.</summary>
    [Fact]
    public async Task What_died_for_want_of_memory_is_told_to_the_next_attempt()
    {
        var trainer = Path.Combine(_house.Storage.DataDirectory, "trainer");
        await File.WriteAllTextAsync(trainer, """
            #!/bin/sh
            echo "terminate called after throwing an instance of 'std::bad_alloc'" >&2
            kill -ABRT $$

            """, Cancel);
        File.SetUnixFileMode(trainer, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        _house.StartWorker(("Worker__TrainerPath", trainer), ("Worker__RetryDelay", "00:00:00"));
        var id = await _house.Enqueue(steps: 10);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Failed);

        Assert.Contains("The trainer aborted because memory ran out", job.Reason, StringComparison.Ordinal);
        Assert.Equal("The trainer aborted because memory ran out", await File.ReadAllTextAsync(_house.Storage.Run(id).OutOfMemory, Cancel));
        Assert.Equal(3, job.Attempt); // It took no notice of what it was told, so it may not go on for ever.
    }

    [Fact]
    public async Task A_fault_is_the_users_and_is_not_retried()
    {
        await using (var db = await _house.Database())
            await File.WriteAllTextAsync(_house.Storage.DatasetFile(await db.Datasets.SingleAsync(row => row.Id == "ds_dev", Cancel)), "text\tlabel\nfine\t7\n", Cancel);
        _house.StartWorker();
        var id = await _house.Enqueue(steps: 10);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Failed);

        Assert.Equal(1, job.Attempt);
        Assert.Contains("ds_dev.tsv:2", job.Faults, StringComparison.Ordinal);
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
