using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Storage.Tests;

public sealed class JobStatesTests(Cluster cluster) : IAsyncLifetime
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    private ServiceProvider _services = null!;
    private JobStates _states = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _services = await cluster.CreateDatabase();
        _states = _services.GetRequiredService<JobStates>();
        await _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_1"), Cancel);
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task A_claim_is_a_new_attempt()
    {
        var job = await _states.Claim("job_1", "here", Lease, Cancel);

        Assert.Equal((1, JobStatus.Preparing, "here"), (job!.Attempt, job.Status, job.Worker));
        Assert.Equal(["queued", "preparing"], await Statuses());
    }

    [Fact]
    public async Task Of_many_workers_one_gets_the_job()
    {
        var claims = await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => _states.Claim("job_1", $"{worker}", Lease, Cancel)));

        Assert.Single(claims, claim => claim is not null);
    }

    [Fact]
    public async Task A_silent_workers_job_can_be_claimed_and_its_writes_are_refused()
    {
        await _states.Claim("job_1", "first", Lease, Cancel);
        Assert.Null(await _states.Claim("job_1", "second", Lease, Cancel));
        Assert.Equal(["job_1"], (await _states.Orphans(TimeSpan.Zero, Cancel)).Select(job => job.Id));

        var second = await _states.Claim("job_1", "second", TimeSpan.Zero, Cancel);

        Assert.Equal(2, second!.Attempt);
        Assert.False(await _states.Change("job_1", 1, JobStatus.Running, null, null, Cancel));
        Assert.Equal(RunOrder.Lost, await _states.Heartbeat("job_1", 1, Cancel));
        Assert.True(await _states.Change("job_1", 2, JobStatus.Running, null, null, Cancel));
        Assert.Equal(RunOrder.GoOn, await _states.Heartbeat("job_1", 2, Cancel));
    }

    [Fact]
    public async Task Only_allowed_moves_are_made()
    {
        Assert.False(await _states.Change("job_1", 0, JobStatus.Succeeded, null, null, Cancel));
        Assert.Equal(["queued"], await Statuses());
    }

    [Fact]
    public async Task A_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked()
    {
        Assert.Equal(JobStatus.Cancelled, (await _services.GetRequiredService<JobRequests>().Cancel("job_1", Cancel))!.Status);
        Assert.Null(await _services.GetRequiredService<JobRequests>().Cancel("job_1", Cancel));
        Assert.Null(await _states.Claim("job_1", "here", Lease, Cancel));

        await _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_2"), Cancel);
        await _states.Claim("job_2", "here", Lease, Cancel);
        Assert.Equal(JobStatus.Preparing, (await _services.GetRequiredService<JobRequests>().Cancel("job_2", Cancel))!.Status);
        Assert.Equal(RunOrder.Cancel, await _states.Heartbeat("job_2", 1, Cancel));
    }

    private async Task<List<string>> Statuses()
    {
        await using var db = await _services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);
        return await db.Database.SqlQuery<string>($"SELECT data->>'status' AS \"Value\" FROM finetune.events WHERE job_id = 'job_1' ORDER BY id").ToListAsync(Cancel);
    }
}
