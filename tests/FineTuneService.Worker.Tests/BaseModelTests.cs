using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Hub.Tests;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker.Tests;

/// <summary>What a worker does before the trainer starts, when the base model is no folder of the models directory.</summary>
public sealed class BaseModelTests : IAsyncLifetime
{
    private const string Id = "acme/tiny-bert";

    private readonly House _house = new();
    private LocalHub _hub = null!;
    private string _commit = "";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await _house.InitializeAsync();
        _hub = await LocalHub.Start();
        _commit = _hub.Push(Id, LocalHub.FilesOf(Path.Combine(AppContext.BaseDirectory, "samples", "models", "tiny-bert-en")));
    }

    public async ValueTask DisposeAsync()
    {
        await _house.DisposeAsync();
        await _hub.DisposeAsync();
    }

    [Fact]
    public async Task A_model_of_the_hub_is_fetched_and_trained_from_and_its_checkpoint_is_a_base_again()
    {
        StartWorker();
        var first = await _house.Enqueue(steps: 3, Id, _commit);
        await _house.WaitFor(first, job => job.Status == JobStatus.Succeeded);

        var snapshot = JsonNode.Parse(await File.ReadAllTextAsync(_house.Storage.Run(first).Job, Cancel))!["base_model"]!.GetValue<string>();
        Assert.EndsWith($"models--acme--tiny-bert/snapshots/{_commit}", snapshot, StringComparison.Ordinal);
        Assert.NotNull(new FileInfo(Path.Combine(snapshot, "model.safetensors")).LinkTarget);
        Assert.Contains(await Notes(first), note => note.Contains("is here whole", StringComparison.Ordinal));

        var second = await _house.Enqueue(steps: 2, new CheckpointName(first, 3).ToString());
        await _house.WaitFor(second, job => job.Status == JobStatus.Succeeded);
        Assert.Empty(await Notes(second));
        // What the first had learnt is where the second begins: not one weight is set anew.
        await using var db = await _house.Database();
        Assert.DoesNotContain(await db.Events.Where(row => row.JobId == second).Select(row => row.Data).ToListAsync(Cancel), data => data.Contains("new_weights", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Cancel_ends_a_download_within_two_seconds()
    {
        _hub.Disturb = async (context, request, content) =>
        {
            if (!request.Cdn)
                return false;
            await context.Response.Body.WriteAsync(content.AsMemory(0, 1_000_000));
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            return true;
        };
        StartWorker();
        var id = await _house.Enqueue(steps: 3, Id, _commit);
        await _house.WaitFor(id, _ => _hub.Requests.Any(request => request.Cdn)); // Fails when the job ends first.

        await _house.Requests.Cancel(id, Cancel);
        var asked = System.Diagnostics.Stopwatch.GetTimestamp();
        await _house.WaitFor(id, job => job.Status == JobStatus.Cancelled);

        Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(asked).TotalSeconds, 0, 2);
        Assert.False(File.Exists(_house.Storage.Run(id).Job));
    }

    [Fact]
    public async Task A_hub_that_comes_back_costs_an_attempt_and_no_job()
    {
        var refused = 0;
        _hub.Disturb = (context, request, _) =>
        {
            if (!request.Cdn || Interlocked.Increment(ref refused) > 2)
                return Task.FromResult(false);
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        StartWorker();
        var id = await _house.Enqueue(steps: 3, Id, _commit);

        Assert.Equal(2, (await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded)).Attempt);
    }

    [Fact]
    public async Task A_hub_that_stays_away_fails_the_job_with_the_cause()
    {
        _hub.Disturb = (context, _, _) =>
        {
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        StartWorker();
        var id = await _house.Enqueue(steps: 3, Id, _commit);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Failed);

        Assert.Equal(3, job.Attempt);
        Assert.Contains("hub cannot be reached", job.Reason, StringComparison.Ordinal);
        Assert.Contains("503", job.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_checkpoint_that_has_vanished_fails_the_job_with_the_cause()
    {
        StartWorker();
        var gone = new CheckpointName(Ids.NewJob(), 7).ToString();
        var id = await _house.Enqueue(steps: 3, gone);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Failed);

        Assert.Equal(1, job.Attempt);
        Assert.Contains(gone, job.Faults, StringComparison.Ordinal);
        Assert.Contains("deleted since", job.Faults, StringComparison.Ordinal);
    }

    private void StartWorker() => _house.StartWorker(
        ("Hub__Endpoint", _hub.Endpoint.ToString()), ("Hub__CacheDirectory", Path.Combine(_house.Storage.DataDirectory, "hub")), ("Hub__Offline", "false"), ("Hub__Retries", "1"), ("Hub__RetryDelay", "00:00:00.010"), ("Worker__RetryDelay", "00:00:00"), ("Worker__Heartbeat", "00:00:00.200"));

    private async Task<List<string>> Notes(string id)
    {
        await using var db = await _house.Database();
        return await db.Events.Where(row => row.JobId == id && row.Type == "note" && row.Seq == null).OrderBy(row => row.Id).Select(row => row.Data).ToListAsync(Cancel);
    }
}
