using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker.Tests;

public sealed class SweepTests : IAsyncLifetime
{
    private readonly House _house = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _house.InitializeAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    /// <summary>As if the process had died that was about to queue its first jobs.</summary>
    [Fact]
    public async Task Workers_find_a_sweep_that_stands_still_and_bring_it_to_its_end()
    {
        await Put(trials: 3);
        _house.StartWorker();
        _house.StartWorker();

        while ((await Standings()).Exists(standing => standing.Status != JobStatus.Succeeded))
            await Task.Delay(50, Cancel);

        await using var db = await _house.Database();
        while (await db.Sweeps.AsNoTracking().SingleAsync(Cancel) is { Status: SweepStatus.Running })
            await Task.Delay(50, Cancel);
        Assert.Equal(SweepStatus.Succeeded, (await db.Sweeps.AsNoTracking().SingleAsync(Cancel)).Status);
        Assert.Equal([(0, 1, 2), (0, 2, 2), (0, 3, 2), (1, 3, 6)], (await Standings()).Select(standing => (standing.Rung, standing.Rung == 0 ? standing.Number : 3, standing.Step!.Value)));
        Assert.Equal(4, await db.Jobs.CountAsync(Cancel));
    }

    private async Task Put(int trials)
    {
        await using var db = await _house.Database();
        db.Sweeps.Add(new()
        {
            Id = "sweep_1",
            Status = SweepStatus.Running,
            Metric = "eval_loss",
            GreaterIsBetter = false,
            MaxConcurrentJobs = 2,
            CreatedAt = TimeProvider.System.GetUtcNow(),
            Spec = JsonSerializer.Serialize(
                new SweepSpec { Spec = JsonSerializer.SerializeToElement(new { }), Parameters = new Dictionary<string, ParameterSpace>(), Strategy = new SuccessiveHalving { Trials = trials, ReductionFactor = 3, MinResource = 2 } },
                SnakeCaseJson.Options),
        });
        for (var number = 1; number <= trials; number++)
            db.SweepTrials.Add(new() { SweepId = "sweep_1", Rung = 0, Number = number, Parameters = "{}", Spec = House.Spec(steps: 2, every: 2), Resolutions = "[]" });
        await db.SaveChangesAsync(Cancel);
    }

    private async Task<List<SweepStanding>> Standings()
    {
        await using var db = await _house.Database();
        return await SweepStanding.Of(db, "sweep_1").ToListAsync(Cancel);
    }
}
