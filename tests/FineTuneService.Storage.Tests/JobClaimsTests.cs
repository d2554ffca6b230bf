using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Storage.Tests;

/// <summary>Which job is next.</summary>
public sealed class JobClaimsTests(Cluster cluster) : IAsyncLifetime
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    private ServiceProvider _services = null!;
    private int _jobs;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _services = await cluster.CreateDatabase();

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task Priority_goes_before_age()
    {
        var (old, urgent, newer) = (await Put(), await Put(priority: 1), await Put());

        Assert.Equal<IEnumerable<string?>>([urgent, old, newer, null], [await Next(), await Next(), await Next(), await Next()]);
    }

    [Fact]
    public async Task Projects_take_turns()
    {
        var (first, second, third) = (await Put("proj_a"), await Put("proj_a"), await Put("proj_a"));
        var (other, another) = (await Put("proj_b"), await Put("proj_b"));

        Assert.Equal<IEnumerable<string?>>([first, other, second, another, third], [await Next(), await Next(), await Next(), await Next(), await Next()]);
    }

    [Fact]
    public async Task A_project_at_its_limit_waits_also_when_many_ask_at_once()
    {
        await using (var db = await Database())
        {
            db.Projects.Add(new() { Id = "proj_a", Name = "a", MaxRunningJobs = 2, CreatedAt = TimeProvider.System.GetUtcNow() });
            await db.SaveChangesAsync(Cancel);
        }
        for (var job = 0; job < 6; job++)
            await Put("proj_a");

        var taken = (await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => Next()))).OfType<string>().ToList();
        Assert.Equal(2, taken.Count);

        await _services.GetRequiredService<JobStates>().Change(taken[0], 1, JobStatus.Failed, null, null, Cancel);
        Assert.NotNull(await Next());
        Assert.Null(await Next());
    }

    [Fact]
    public async Task Many_workers_share_the_jobs_and_none_is_taken_twice()
    {
        for (var job = 0; job < 12; job++)
            await Put();

        var taken = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Next()));

        Assert.Equal(12, taken.OfType<string>().Distinct().Count());
        Assert.Equal(4, taken.Count(job => job is null));
    }

    [Fact]
    public async Task A_queue_has_the_jobs_that_require_it_alone()
    {
        var (usual, able) = (await Put(), await Put(requires: "gpu"));

        Assert.Equal<IEnumerable<string?>>([able, null, usual], [await Next("gpu"), await Next("gpu"), await Next()]);
    }

    [Fact]
    public async Task A_job_that_is_to_be_retried_is_not_taken_before_its_time()
    {
        var id = await Put();
        await Next();

        await _services.GetRequiredService<JobStates>().Change(id, 1, JobStatus.Retrying, "Lost.", null, Cancel, TimeSpan.FromHours(1));

        Assert.Null(await Next());
    }

    [Fact]
    public async Task A_cancelled_job_does_not_hide_the_next()
    {
        var (cancelled, next) = (await Put(), await Put());
        await using (var db = await Database())
            await db.Jobs.Where(job => job.Id == cancelled).ExecuteUpdateAsync(job => job.SetProperty(row => row.CancelRequestedAt, TimeProvider.System.GetUtcNow()), Cancel);

        Assert.Equal(next, await Next());
    }

    private async Task<string?> Next(string queue = "default") => (await _services.GetRequiredService<JobClaims>().Next(queue, "here", Lease, Cancel))?.Id;

    private async Task<string> Put(string project = Project.Default, int priority = 0, string? requires = null)
    {
        var id = $"job_{++_jobs:D2}";
        await _services.GetRequiredService<JobQueue>().Enqueue(
            new() { Id = id, ProjectId = project, Status = JobStatus.Queued, Spec = "{}", Resolutions = "[]", Priority = priority, Requires = requires, CreatedAt = TimeProvider.System.GetUtcNow() }, Cancel);
        return id;
    }

    private Task<FineTuneDb> Database() => _services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);
}
