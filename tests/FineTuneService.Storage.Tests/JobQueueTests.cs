using FineTuneService.Contracts;
using Hangfire;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FineTuneService.Storage.Tests;

public sealed class JobQueueTests(Cluster cluster) : IAsyncLifetime
{
    private ServiceProvider _services = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _services = await cluster.CreateDatabase();

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task A_job_is_stored_and_queued_together()
    {
        await _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_1"), Cancel);

        await using var db = await Database();
        var job = await db.Jobs.SingleAsync(Cancel);
        Assert.Equal("status", (await db.Events.SingleAsync(Cancel)).Type);
        var queued = _services.GetRequiredService<JobStorage>().GetMonitoringApi().EnqueuedJobs("default", 0, 10).Single();
        Assert.Equal((job.HangfireJobId, "default"), (queued.Key, queued.Value.Job.Args[0]));
    }

    [Fact]
    public async Task A_queued_job_wakes_the_workers()
    {
        await using var worker = await _services.GetRequiredService<NpgsqlDataSource>().OpenConnectionAsync(Cancel);
        await using (var listen = new NpgsqlCommand("LISTEN new_job", worker)) // Hangfire.PostgreSql's channel.
            await listen.ExecuteNonQueryAsync(Cancel);

        await _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_1"), Cancel);

        Assert.True(await worker.WaitAsync(TimeSpan.FromSeconds(20), Cancel));
    }

    [Fact]
    public async Task When_the_row_is_refused_nothing_is_queued()
    {
        await _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_1"), Cancel);

        await Assert.ThrowsAsync<DbUpdateException>(() => _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_1"), Cancel));

        await using var db = await Database();
        Assert.Equal(1, await db.Events.CountAsync(Cancel));
        Assert.Equal(1, _services.GetRequiredService<JobStorage>().GetMonitoringApi().EnqueuedCount("default"));
    }

    [Fact]
    public async Task Another_host_that_ends_in_this_process_does_not_matter()
    {
        _ = _services.GetRequiredService<JobStorage>();
        await using (var other = await cluster.CreateDatabase())
            _ = other.GetRequiredService<JobStorage>(); // Hangfire's configuration is one for the process.

        await _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_1"), Cancel);

        Assert.Equal(1, _services.GetRequiredService<JobStorage>().GetMonitoringApi().EnqueuedCount("default"));
    }

    [Fact]
    public async Task The_model_has_no_changes_without_a_migration()
    {
        await using var db = await Database();
        Assert.False(db.Database.HasPendingModelChanges());
    }

    private Task<FineTuneDb> Database() => _services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);
}

internal static class Sample
{
    public static Job Job(string id) => new()
    {
        Id = id,
        Status = JobStatus.Queued,
        Spec = """{"base_model":"m","training":{"metric_for_best_model":"accuracy"}}""",
        Resolutions = "[]",
        CreatedAt = TimeProvider.System.GetUtcNow(),
    };
}
