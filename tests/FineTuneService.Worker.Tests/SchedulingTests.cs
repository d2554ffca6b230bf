using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker.Tests;

/// <summary>When jobs run, stop and go on, with real workers.</summary>
public sealed class SchedulingTests : IAsyncLifetime
{
    private readonly House _house = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _house.InitializeAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task A_paused_job_goes_on_where_it_stopped_and_learns_the_same()
    {
        _house.StartWorker();
        var whole = await _house.Enqueue(steps: 90);
        await _house.WaitFor(whole, job => job.Status == JobStatus.Succeeded);

        var id = await _house.Enqueue(steps: 90);
        await _house.WaitFor(id, job => job.Step >= 20);
        await _house.Requests.Pause(id, Cancel);
        var paused = await _house.WaitFor(id, job => job.Status == JobStatus.Paused);
        Assert.InRange(paused.Step, 20, 89);
        await _house.Requests.Resume(id, Cancel);
        var ended = await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);

        Assert.Equal(2, ended.Attempt);
        Assert.Equal((await _house.Losses(whole)).Select(loss => (loss.Step, loss.Value)), (await _house.Losses(id)).Select(loss => (loss.Step, loss.Value)));
        Assert.Equal(await Weights(whole), await Weights(id));
    }

    [Fact]
    public async Task A_job_that_runs_too_long_is_stopped_with_a_checkpoint()
    {
        _house.StartWorker();
        Job job;
        var limit = 5;
        do
        {
            var id = await _house.Enqueue(steps: 100_000, scheduling: new() { MaxRuntimeSeconds = limit });
            job = await _house.WaitUntil(id, job => job.Status.IsTerminal());
            Assert.Equal(JobStatus.Failed, job.Status);
            Assert.Contains("longest running time", job.Reason);
            limit *= 3; // Loading counts, and a busy machine may do nothing else in the time.
        }
        while (job.Step == 0);

        await using var db = await _house.Database();
        Assert.Equal(job.Step, await db.Checkpoints.Where(row => row.JobId == job.Id && row.DeletedAt == null).MaxAsync(row => row.Step, Cancel));
    }

    [Fact]
    public async Task A_job_waits_for_those_it_depends_on_and_fails_with_them()
    {
        var first = await _house.Enqueue(steps: 10);
        var doomed = await _house.Enqueue(steps: 10, scheduling: new() { AutoStart = false });
        var second = await _house.Enqueue(steps: 10, scheduling: new() { DependsOn = [first] });
        var third = await _house.Enqueue(steps: 10, scheduling: new() { DependsOn = [first, doomed] });
        var late = await _house.Enqueue(steps: 10, scheduling: new() { AutoStart = false, Deadline = TimeProvider.System.GetUtcNow().AddSeconds(3) });
        _house.StartWorker();

        var after = await _house.WaitFor(second, job => job.Status == JobStatus.Succeeded);
        var before = await _house.WaitFor(first, job => job.Status == JobStatus.Succeeded);
        Assert.True(after.StartedAt > before.FinishedAt);
        Assert.Equal(JobStatus.Waiting, (await _house.WaitFor(third, _ => true)).Status);
        await _house.Requests.Cancel(doomed, Cancel);

        Assert.Equal($"It depends on {doomed}, which has cancelled.", (await _house.WaitUntil(third, job => job.Status == JobStatus.Failed)).Reason);
        Assert.Equal("Its deadline has passed.", (await _house.WaitUntil(late, job => job.Status == JobStatus.Failed)).Reason);
    }

    [Fact]
    public async Task A_job_goes_to_a_worker_that_has_what_it_requires()
    {
        var id = await _house.Enqueue(steps: 5, scheduling: new() { Requires = "gpu" });
        var usual = await _house.Enqueue(steps: 5);
        _house.StartWorker();
        await _house.WaitFor(usual, job => job.Status == JobStatus.Succeeded);
        Assert.Equal(JobStatus.Queued, (await _house.WaitFor(id, _ => true)).Status);

        var able = _house.StartWorker(("Worker__Capabilities__0", "gpu"));

        Assert.EndsWith($":{able.Id}", (await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded)).Worker);
    }

    [Fact]
    public async Task Jobs_whose_tickets_are_lost_get_new_ones()
    {
        var id = await _house.Enqueue(steps: 5);
        await using (var db = await _house.Database())
            await db.Database.ExecuteSqlAsync($"DELETE FROM hangfire.jobqueue", Cancel);

        _house.StartWorker();

        await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);
    }

    private async Task<byte[]> Weights(string id)
    {
        await using var db = await _house.Database();
        var last = await db.Checkpoints.Where(row => row.JobId == id && row.DeletedAt == null).OrderByDescending(row => row.Step).FirstAsync(Cancel);
        return await File.ReadAllBytesAsync(Path.Combine(_house.Storage.Run(id).Path, last.Path, "model.safetensors"), Cancel);
    }
}
