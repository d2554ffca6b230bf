using System.Diagnostics;
using static FineTuneService.EndToEnd.Tests.RunProof;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>Whatever dies, every job that was accepted ends in its right state, once, and nothing of it is lost or doubled.</summary>
[Trait("Suite", "faults")]
public sealed class FaultsTests : IAsyncDisposable
{
    private readonly FaultyHouse _house = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public Task Kills_at_random_instants() => Kills(rounds: 5, inFlight: 2, seed: 7);

    [Fact]
    [Trait("Suite", "slow")]
    public Task A_hundred_kills_at_random_instants() => Kills(rounds: 100, inFlight: 10, seed: 42);

    [Fact]
    public async Task Of_two_workers_that_believe_they_own_a_run_one_is_refused_and_its_trainer_dies()
    {
        await _house.Start(workers: 1);
        var id = await _house.Post(Spec(await _house.Upload("train.tsv", 200), steps: 120, saveSteps: 30));
        await Until(async () => (int)(await _house.Get($"/jobs/{id}"))["progress"]!["step"]! >= 20);
        var (asleep, trainer) = (_house.Workers[0], Assert.Single(_house.Trainers()));

        FaultyHouse.Signal("STOP", asleep);
        var another = _house.AddWorker();
        await Until(async () => await Attempts(id) == 2);
        await Until(() => Task.FromResult(!IsAlive(trainer))); // Its worker could not tell it; the run's folder did.
        FaultyHouse.Signal("CONT", asleep);

        await Until(async () => (string?)(await _house.Get($"/jobs/{id}"))["status"] == "succeeded");
        await IsWhole(_house, id, 120);
        Assert.True(await Attempts(id) >= 2);
        Assert.Equal($"{Environment.MachineName}:{another.Id}", await _house.Query<string>($"SELECT worker FROM finetune.jobs WHERE id = '{id}'"));
        Assert.False(asleep.HasExited); // It goes on with other jobs.
        Tell($"{await Attempts(id)} attempts, 120 steps");
    }

    [Fact]
    public Task Postgres_is_away_in_mid_run() => DatabaseAway(TimeSpan.FromSeconds(8));

    [Fact]
    [Trait("Suite", "slow")]
    public Task Postgres_is_away_for_five_minutes_in_mid_run() => DatabaseAway(TimeSpan.FromMinutes(5));

    private async Task DatabaseAway(TimeSpan away)
    {
        await _house.Start(workers: 1);
        var id = await _house.Post(Spec(await _house.Upload("train.tsv", 200), steps: 400, saveSteps: 100));
        await Until(async () => (int)(await _house.Get($"/jobs/{id}"))["progress"]!["step"]! >= 20);
        var (before, trainer) = (Logged(id), Assert.Single(_house.Trainers()));

        await _house.KillPostgres(away);

        var meanwhile = Logged(id) - before;
        Assert.True(meanwhile > 0, "The training stood still while the database was away.");
        await Until(async () => (string?)(await _house.Get($"/jobs/{id}"))["status"] == "succeeded");
        await IsWhole(_house, id, 400);
        Assert.Equal((1, false), (await Attempts(id), IsAlive(trainer)));
        Tell($"{away.TotalSeconds:F0} s without Postgres, {meanwhile} events logged meanwhile, 400 steps, one attempt");
    }

    private async Task Kills(int rounds, int inFlight, int seed)
    {
        var clock = Stopwatch.StartNew();
        var random = new Random(seed);
        await _house.Start(workers: 2);
        var data = await _house.Upload("train.tsv", 200);
        var (accepted, killed) = (new List<string>(), new SortedDictionary<string, int>());
        for (var round = 0; round < rounds; round++)
        {
            while (await Open() < inFlight)
                accepted.Add(await _house.Post(Spec(data, Steps)));
            await Task.Delay(random.Next(300, 3000), Cancel); // At whatever they are then.
            var victim = random.Next(4) switch
            {
                0 => "API",
                1 => "worker",
                2 => "Postgres",
                _ => "trainer",
            };
            killed[victim] = killed.GetValueOrDefault(victim) + 1;
            switch (victim)
            {
                case "API":
                    _house.KillApi();
                    break;
                case "worker":
                    _house.KillWorker(random.Next(_house.Workers.Count));
                    break;
                case "Postgres":
                    await _house.KillPostgres(TimeSpan.FromMilliseconds(random.Next(2000)));
                    break;
                case "trainer" when _house.Trainers() is { Count: > 0 } trainers:
                    trainers[random.Next(trainers.Count)].Kill();
                    break;
            }
        }

        await Until(async () =>
        {
            _house.Revive();
            return await Open() == 0;
        });
        Assert.Equal(accepted.Count, await _house.Query<long>("SELECT count(*) FROM finetune.jobs"));
        foreach (var id in accepted)
        {
            Assert.Equal("succeeded", (string?)(await _house.Get($"/jobs/{id}"))["status"]);
            await IsWhole(_house, id, Steps);
        }
        await Until(() => Task.FromResult(_house.Trainers().Count == 0));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_house.Data, "*draft*", SearchOption.AllDirectories));
        Assert.Equal(accepted.Order(), Directory.EnumerateDirectories(Path.Combine(_house.Data, "runs")).Select(Path.GetFileName).Order());
        Tell($"{rounds} rounds ({string.Join(", ", killed.Select(pair => $"{pair.Value} × {pair.Key}"))}), {accepted.Count} jobs, {await _house.Query<long>("SELECT sum(attempt) FROM finetune.jobs")} attempts, {await _house.Query<long>("SELECT count(*) FROM finetune.metrics")} metric rows, {clock.Elapsed.TotalSeconds:F0} s");
    }

    /// <summary>One that has ended, and whose parent has not heard of it yet, is not.</summary>
    private bool IsAlive(Process trainer) => _house.Trainers().Any(other => other.Id == trainer.Id);

    private Task<int> Attempts(string id) => _house.Query<int>($"SELECT attempt FROM finetune.jobs WHERE id = '{id}'");

    private Task<long> Open() => _house.Query<long>("SELECT count(*) FROM finetune.jobs WHERE status NOT IN ('Succeeded', 'Failed', 'Cancelled')");

    /// <summary>Lines of the run's log.</summary>
    private int Logged(string id) => File.ReadLines(Path.Combine(_house.Data, "runs", id, "events.jsonl")).Count();
}
