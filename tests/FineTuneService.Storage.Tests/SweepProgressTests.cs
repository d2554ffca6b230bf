using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Storage.Tests;

/// <summary>Sweeps from the first job to the last, with the jobs' ends told by hand.</summary>
public sealed class SweepProgressTests(Cluster cluster) : IAsyncLifetime
{
    private const string Id = "sweep_1";

    private ServiceProvider _services = null!;
    private SweepProgress _progress = null!;
    private JobStates _states = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _services = await cluster.CreateDatabase();
        _progress = _services.GetRequiredService<SweepProgress>();
        _states = _services.GetRequiredService<JobStates>();
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task A_grid_keeps_so_many_jobs_going_and_ends_with_the_best()
    {
        await Put(new GridSearch(), trials: 5, atOnce: 2);
        var most = 0;
        for (var job = await FirstOpen(); job is not null; job = await FirstOpen())
        {
            most = Math.Max(most, (await Standings()).Count(standing => standing.IsOpen));
            await Finish(job, new[] { 0.5, 0.7, 0.9, 0.9, 0.1 }[job.Number - 1]);
        }

        Assert.Equal(2, most);
        var standings = await Standings();
        Assert.Equal([1, 2, 3, 4, 5], standings.Select(standing => standing.Number));
        Assert.Equal(standings.Select(standing => standing.JobId), standings.Select(standing => standing.JobId).Order(StringComparer.Ordinal));
        Assert.Equal((SweepStatus.Succeeded, true), ((await Sweep()).Status, (await Sweep()).FinishedAt is not null));
        Assert.Equal((3, 0.9), SweepStanding.Ranked(standings, greaterIsBetter: true).Select(best => (best.Number, best.Metric!.Value)).First());
        Assert.Equal(5, SweepStanding.Ranked(standings, greaterIsBetter: false).First().Number);
    }

    [Fact]
    public async Task Halving_gives_the_best_of_each_rung_more_steps_until_one_is_left()
    {
        await Put(new SuccessiveHalving { Trials = 9, ReductionFactor = 3, MinResource = 10 }, trials: 9, atOnce: 3);
        while (await FirstOpen() is { } job)
            await Finish(job, job.Rung == 2 ? 0.2 : job.Number / 10.0); // The winner of the last rung is not the best of all.

        var standings = await Standings();
        Assert.Equal([(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (0, 8), (0, 9), (1, 7), (1, 8), (1, 9), (2, 9)], standings.Select(standing => (standing.Rung, standing.Number)));
        Assert.Equal([.. Enumerable.Repeat(10, 9), 30, 30, 30, 90], standings.Select(standing => JsonNode.Parse(standing.Parameters)!["/training/max_steps"]!.GetValue<int>()));
        await using var db = await Database();
        Assert.Equal([.. Enumerable.Repeat(10, 9), 30, 30, 30, 90], (await db.Jobs.OrderBy(job => job.Id).Select(job => job.Spec).ToListAsync(Cancel)).Select(spec => JsonNode.Parse(spec)!["training"]!["max_steps"]!.GetValue<int>()));
        Assert.Equal(SweepStatus.Succeeded, (await Sweep()).Status);
        var best = SweepStanding.Ranked(standings, greaterIsBetter: true).First();
        Assert.Equal((1, 9), (best.Rung, best.Number)); // As good as on the first rung, and trained for longer.
    }

    [Fact]
    public async Task Trials_that_fail_or_have_no_metric_do_not_go_on()
    {
        await Put(new SuccessiveHalving { Trials = 4, ReductionFactor = 2, MinResource = 1 }, trials: 4, atOnce: 4);
        await Finish(1, JobStatus.Failed, 0.99);
        await Finish(2, JobStatus.Succeeded, double.NaN);
        await Finish(3, JobStatus.Succeeded, 0.1);
        await _services.GetRequiredService<JobRequests>().Cancel((await Standings())[3].JobId!, Cancel);

        Assert.Equal([(1, 3)], (await Standings()).Where(standing => standing.Rung > 0).Select(standing => (standing.Rung, standing.Number)));
        await Finish(3, JobStatus.Succeeded, 0.2);
        Assert.Equal(SweepStatus.Succeeded, (await Sweep()).Status); // Of a rung of one nobody goes on.
        Assert.Equal(5, (await Standings()).Count);
    }

    [Fact]
    public async Task A_sweep_without_a_result_fails()
    {
        await Put(new GridSearch(), trials: 2, atOnce: 2);
        await Finish(1, JobStatus.Failed, null);
        await Finish(2, JobStatus.Succeeded, null);

        Assert.Equal((SweepStatus.Failed, true), ((await Sweep()).Status, (await Sweep()).Reason!.Length > 0));
    }

    [Fact]
    public async Task Jobs_that_end_at_the_same_time_make_one_next_rung()
    {
        await Put(new SuccessiveHalving { Trials = 8, ReductionFactor = 2, MinResource = 1 }, trials: 8, atOnce: 8);
        for (var rung = 0; rung < 4; rung++)
        {
            var jobs = (await Standings()).Where(standing => standing.IsOpen).ToList();
            Assert.Equal(8 >> rung, jobs.Count);
            foreach (var job in jobs)
                await Begin(job.JobId!, job.Number);
            await Task.WhenAll(jobs.Select(job => _states.Change(job.JobId!, 1, JobStatus.Succeeded, null, null, Cancel)));
        }

        Assert.Equal(15, (await Standings()).Count);
        Assert.Equal(SweepStatus.Succeeded, (await Sweep()).Status);
        await using var db = await Database();
        Assert.Equal(15, await db.Jobs.CountAsync(Cancel));
    }

    [Fact]
    public async Task What_a_dead_process_left_standing_is_moved_on_from_the_rows_alone()
    {
        await Put(new GridSearch(), trials: 3, atOnce: 1);
        await using (var db = await Database())
            await db.Jobs.ExecuteUpdateAsync(job => job.SetProperty(row => row.Status, JobStatus.Succeeded).SetProperty(row => row.BestMetric, 0.5), Cancel);
        Assert.Null(await FirstOpen());

        await _services.GetRequiredService<SweepStates>().AdvanceAll(Cancel);
        await _services.GetRequiredService<SweepStates>().AdvanceAll(Cancel);

        Assert.Equal(2, (await FirstOpen())!.Number);
        Assert.Equal(2, (await Standings()).Count(standing => !standing.IsWaiting));
    }

    [Fact]
    public async Task A_cancelled_sweep_queues_nothing_more_and_ends_with_its_last_job()
    {
        await Put(new GridSearch(), trials: 4, atOnce: 2);
        var running = (await Standings())[0].JobId!;
        await Begin(running, 0.5);
        var sweeps = _services.GetRequiredService<SweepStates>();

        Assert.Equal(SweepStatus.Running, (await sweeps.RequestCancel(Id, Cancel))!.Status);

        Assert.Equal([JobStatus.Running, JobStatus.Cancelled, null, null], (await Standings()).Select(standing => standing.Status));
        Assert.Equal(RunOrder.Cancel, await _states.Heartbeat(running, 1, Cancel));
        Assert.NotNull(await sweeps.RequestCancel(Id, Cancel));
        await _states.Change(running, 1, JobStatus.Cancelled, null, null, Cancel);
        Assert.Equal(SweepStatus.Cancelled, (await Sweep()).Status);
        Assert.Null(await sweeps.RequestCancel(Id, Cancel));
        Assert.Null(await sweeps.RequestCancel("sweep_0", Cancel));
        Assert.Equal(2, (await Standings()).Count(standing => standing.IsWaiting));
    }

    [Fact]
    public async Task A_job_is_queued_with_its_sweep_or_not_at_all()
    {
        await Put(new GridSearch(), trials: 2, atOnce: 1);
        await using var db = await Database();
        var job = await db.Jobs.SingleAsync(Cancel);

        Assert.Equal((Id, "a name", JobStatus.Queued), (job.SweepId, job.Name, job.Status));
        Assert.Equal(job.HangfireJobId, _services.GetRequiredService<Hangfire.JobStorage>().GetMonitoringApi().EnqueuedJobs("default", 0, 10).Single().Key);
    }

    private async Task Put(SweepStrategy strategy, int trials, int atOnce)
    {
        await using var db = await Database();
        db.Sweeps.Add(new()
        {
            Id = Id,
            Status = SweepStatus.Running,
            Metric = "eval_accuracy",
            GreaterIsBetter = true,
            MaxConcurrentJobs = atOnce,
            CreatedAt = TimeProvider.System.GetUtcNow(),
            Spec = JsonSerializer.Serialize(new SweepSpec { Spec = JsonSerializer.SerializeToElement(new { }), Parameters = new Dictionary<string, ParameterSpace>(), Strategy = strategy }, SnakeCaseJson.Options),
        });
        for (var number = 1; number <= trials; number++)
            db.SweepTrials.Add(new()
            {
                SweepId = Id,
                Rung = 0,
                Number = number,
                Parameters = $$"""{"/training/seed": {{number}}, "/training/max_steps": 10}""",
                Spec = $$"""{"name": "a name", "training": {"seed": {{number}}, "max_steps": 10} }""",
                Resolutions = "[]",
            });
        await db.SaveChangesAsync(Cancel);
        await _progress.Advance(Id, Cancel);
    }

    private async Task<SweepStanding?> FirstOpen() => (await Standings()).FirstOrDefault(standing => standing.IsOpen);

    private async Task Finish(int number, JobStatus status, double? metric)
    {
        var job = (await Standings()).Single(standing => standing.IsOpen && standing.Number == number).JobId!;
        await Begin(job, metric);
        Assert.True(await _states.Change(job, 1, status, null, null, Cancel));
    }

    private Task Finish(SweepStanding job, double metric) => Finish(job.Number, JobStatus.Succeeded, metric);

    private async Task Begin(string job, double? metric)
    {
        await _states.Claim(job, "here", TimeSpan.FromMinutes(1), Cancel);
        await _states.Change(job, 1, JobStatus.Running, null, null, Cancel);
        await using var db = await Database();
        await db.Jobs.Where(row => row.Id == job).ExecuteUpdateAsync(row => row.SetProperty(one => one.BestMetric, metric).SetProperty(one => one.BestStep, 1), Cancel);
    }

    private async Task<List<SweepStanding>> Standings()
    {
        await using var db = await Database();
        return await SweepStanding.Of(db, Id).ToListAsync(Cancel);
    }

    private async Task<Sweep> Sweep()
    {
        await using var db = await Database();
        return await db.Sweeps.SingleAsync(Cancel);
    }

    private Task<FineTuneDb> Database() => _services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);
}
