using System.Diagnostics;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker.Tests;

/// <summary>What a worker tells of itself and of a run: its row, its metrics, the job's trace.</summary>
public sealed partial class TelemetryTests : IAsyncLifetime
{
    private readonly House _house = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _house.InitializeAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task A_run_can_be_followed_from_outside()
    {
        await using var collector = await TraceCollector.Start();
        var lines = new List<string>();
        var worker = _house.StartWorker(line => { lock (lines) lines.Add(line); }, [.. collector.Settings, ("Log__Format", "json"), ("Worker__Capabilities__0", "gpu")]);
        var id = await _house.Enqueue(steps: 600); // Its worker tells of itself every five seconds: one of 100 may have ended by then.

        await _house.WaitFor(id, job => job.Step >= 5);
        await Eventually(async () =>
        {
            await using var db = await _house.Database();
            return await db.Workers.SingleAsync(Cancel) is { Busy: 1, Slots: 1, Draining: false, Capabilities: ["gpu"] } row && row.Id == $"{Environment.MachineName}:{worker.Id}";
        });
        await _house.WaitFor(id, job => job.Status == JobStatus.Succeeded);

        using var http = new HttpClient(new SocketsHttpHandler());
        string url;
        lock (lines)
            url = lines.Select(line => Listening().Match(line)).First(match => match.Success).Groups[1].Value;
        var metrics = "";
        await Eventually(async () => Busy().IsMatch(metrics = await http.GetStringAsync($"{url}/metrics", Cancel)));
        Assert.Matches("""(?m)^finetune_training_steps_total\{.*\} 600( |$)""", metrics);
        Assert.Matches("""(?m)^finetune_job_duration_seconds_count\{.*status="succeeded".*\} 1( |$)""", metrics);
        Assert.Matches("""(?m)^finetune_worker_slots\{.*\} 1( |$)""", metrics);
        Assert.Matches("""(?m)^finetune_event_pump_lag_seconds\{.*\} 0( |$)""", metrics);
        var trace = Ids.GuidOf(id)!.Value;
        foreach (var span in new[] { "run job", "load", "train", "evaluate", "save", "end" })
            await Eventually(() => Task.FromResult(collector.Has(trace, span)));
        lock (lines)
            Assert.Contains(lines, line => line.Contains($"\"JobId\":\"{id}\"", StringComparison.Ordinal) && line.Contains("\"Attempt\":1", StringComparison.Ordinal));

        Process.Start("kill", ["-TERM", $"{worker.Id}"]).WaitForExit();
        await worker.WaitForExitAsync(Cancel);
        await using var db = await _house.Database();
        Assert.Empty(await db.Workers.ToListAsync(Cancel));
    }

    private static async Task Eventually(Func<Task<bool>> holds)
    {
        for (var patience = Stopwatch.StartNew(); !await holds(); await Task.Delay(100, Cancel))
            Assert.True(patience.Elapsed < TimeSpan.FromSeconds(30));
    }

    [GeneratedRegex(@"Now listening on: [\\""]*(http://[\d.:]+)")]
    private static partial Regex Listening();

    [GeneratedRegex(@"(?m)^finetune_worker_busy\{.*\} 0( |$)")]
    private static partial Regex Busy();
}
