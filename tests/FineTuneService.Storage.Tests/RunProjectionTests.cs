using System.Text.Json;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Storage.Tests;

public sealed class RunProjectionTests(Cluster cluster) : IAsyncLifetime
{
    private readonly List<LogLine> _log = [];
    private ServiceProvider _services = null!;
    private RunProjection _projection = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _services = await cluster.CreateDatabase();
        _projection = _services.GetRequiredService<RunProjection>();
        await _services.GetRequiredService<JobQueue>().Enqueue(Sample.Job("job_1"), Cancel);
        await _services.GetRequiredService<JobStates>().Claim("job_1", "here", TimeSpan.Zero, Cancel);
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task Applied_twice_or_in_other_pieces_the_log_gives_the_same_rows()
    {
        Start(0);
        for (var step = 1; step <= 10; step++)
            Log(step);
        Assert.True(await _projection.Apply("job_1", 1, _log[..4], 400, Cancel));
        Assert.True(await _projection.Apply("job_1", 1, _log[..4], 400, Cancel));
        Assert.True(await _projection.Apply("job_1", 1, _log, 1100, Cancel));

        await using var db = await Database();
        Assert.Equal(Enumerable.Range(1, 10), await db.Metrics.OrderBy(metric => metric.Seq).Select(metric => metric.Step).ToListAsync(Cancel));
        Assert.Equal(11, await db.Events.CountAsync(row => row.Seq != null, Cancel));
        var job = await db.Jobs.SingleAsync(Cancel);
        Assert.Equal((11, 1100, 10, 20), (job.LogSeq, job.LogOffset, job.Step, job.TotalSteps));
    }

    [Fact]
    public async Task A_resumed_run_voids_what_lay_beyond_its_start()
    {
        Start(0);
        for (var step = 1; step <= 7; step++)
            Log(step);
        Save(5, best: true);
        Start(5);
        Log(6);
        Log(7);
        await _projection.Apply("job_1", 1, _log[..5], 1, Cancel);
        await _projection.Apply("job_1", 1, _log, 2, Cancel);

        await using var db = await Database();
        Assert.Equal([1, 2, 3, 4, 5, 6, 7], await db.Metrics.OrderBy(metric => metric.Seq).Select(metric => metric.Step).ToListAsync(Cancel));
        Assert.Equal(11, await db.Metrics.Where(metric => metric.Step == 6).Select(metric => metric.Seq).SingleAsync(Cancel));
    }

    [Fact]
    public async Task One_checkpoint_is_the_best()
    {
        Start(0);
        Save(5, best: true);
        Save(10, best: true);
        Add(new CheckpointDeleted { Step = 5, Path = "checkpoints/checkpoint-5" });
        await _projection.Apply("job_1", 1, _log, 1, Cancel);

        await using var db = await Database();
        var rows = await db.Checkpoints.OrderBy(row => row.Step).ToListAsync(Cancel);
        Assert.Equal([(5, false, true), (10, true, false)], rows.Select(row => (row.Step, row.Best, row.DeletedAt is not null)));
        var job = await db.Jobs.SingleAsync(Cancel);
        Assert.Equal((10, "eval_accuracy", 0.9), (job.BestStep, job.BestMetricName, job.BestMetric));
    }

    /// <summary>jsonb refuses the character NUL; a log that has one must not stop there.</summary>
    [Fact]
    public async Task What_a_model_says_is_in_whatever_it_says()
    {
        const string Said = "a\0b \\u0000 \\\\\0 \ud83d\ude00 \"";
        Add(new Generated { Step = 4, Samples = [new("Once", Said)] });
        Assert.True(await _projection.Apply("job_1", 1, _log, 1, Cancel));

        await using var db = await Database();
        var row = await db.Events.SingleAsync(row => row.Type == "generate", Cancel);
        var generated = Assert.IsType<Generated>(JsonSerializer.Deserialize<TrainingEvent>(row.Data, SnakeCaseJson.Options));
        Assert.Equal([new("Once", Said.Replace('\0', '\ufffd'))], generated.Samples);
    }

    [Fact]
    public async Task A_stale_attempt_is_refused()
    {
        Start(0);
        await _services.GetRequiredService<JobStates>().Claim("job_1", "another", TimeSpan.Zero, Cancel);

        Assert.False(await _projection.Apply("job_1", 1, _log, 1, Cancel));
        await using var db = await Database();
        Assert.Equal(0, (await db.Jobs.SingleAsync(Cancel)).LogSeq);
    }

    [Fact]
    public async Task Memory_is_that_of_the_last_attempt()
    {
        Start(0);
        Add(new StepLogged { Step = 1, Metrics = new Dictionary<string, double> { [StepLogged.PeakMemory] = 800 } });
        Start(0);
        await _projection.Apply("job_1", 1, _log, 1, Cancel);
        Assert.Equal((900, null), await Memory());

        Add(new StepLogged { Step = 1, Metrics = new Dictionary<string, double> { [StepLogged.PeakMemory] = 700 } });
        Log(2);
        await _projection.Apply("job_1", 1, _log, 2, Cancel);
        Assert.Equal((900, 700), await Memory());

        Add(new RunSucceeded { Step = 2, FinalStep = 2, Metrics = new Dictionary<string, double>(), PeakMemoryBytes = 750 });
        await _projection.Apply("job_1", 1, _log, 3, Cancel);
        Assert.Equal((900, 750), await Memory());

        async Task<(long?, long?)> Memory()
        {
            await using var db = await Database();
            var job = await db.Jobs.SingleAsync(Cancel);
            return (job.ForecastMemoryBytes, job.PeakMemoryBytes);
        }
    }

    private void Start(int step) => Add(new RunStarted
    {
        Step = step,
        TotalSteps = 20,
        TrainRows = 1,
        ValidationRows = 1,
        TrainableParameters = 1,
        TotalParameters = 1,
        Device = "cpu",
        TruncatedRows = 0,
        TruncatedTokens = 0,
        ForecastMemoryBytes = 900,
    });

    private void Log(int step) => Add(new StepLogged { Step = step, Metrics = new Dictionary<string, double> { ["loss"] = step } });

    private void Save(int step, bool best) => Add(new CheckpointSaved
    {
        Step = step,
        Path = $"checkpoints/checkpoint-{step}",
        Bytes = 1,
        Best = best,
        Final = false,
        Metrics = new Dictionary<string, double> { ["eval_accuracy"] = 0.9 },
    });

    private void Add(TrainingEvent happened)
    {
        var stamped = happened with { Seq = _log.Count + 1, Attempt = 1, Time = TimeProvider.System.GetUtcNow() };
        _log.Add(new(stamped, JsonSerializer.Serialize(stamped, SnakeCaseJson.Options)));
    }

    private Task<FineTuneDb> Database() => _services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);
}
