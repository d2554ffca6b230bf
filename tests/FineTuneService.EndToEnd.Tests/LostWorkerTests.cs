using System.Diagnostics;

namespace FineTuneService.EndToEnd.Tests;

[Trait("Suite", "faults")]
public sealed class LostWorkerTests(Service service) : IClassFixture<Service>
{
    /// <summary>The worker's lease has run out by then, and another has continued.</summary>
    private static readonly TimeSpan Takeover = TimeSpan.FromSeconds(60);

    [Fact]
    [Trait("Suite", "slow")]
    public async Task A_killed_workers_job_is_continued_by_another_without_a_gap()
    {
        var first = service.StartWorker();
        var id = await service.PostJob(
            new { train = await service.Upload("train.tsv", 800), validation = await service.Upload("dev.tsv", 64) },
            new { max_steps = 200, per_device_train_batch_size = 8, learning_rate = 1e-3, max_length = 32, logging_steps = 1, eval_strategy = "steps", eval_steps = 50, save_strategy = "steps", save_steps = 50 });
        await service.WaitForJob(id, job => job["progress"]!["step"]!.GetValue<int>() >= 70);

        first.Kill(); // SIGKILL: neither the worker nor its trainer can say goodbye.
        var lost = Stopwatch.GetTimestamp();
        service.StartWorker();
        await service.WaitForJob(id, job => job["attempt"]!.GetValue<int>() == 2 && job["status"]!.GetValue<string>() == "running");
        Assert.InRange(Stopwatch.GetElapsedTime(lost), TimeSpan.Zero, Takeover);
        await service.WaitForStatus(id, "succeeded");

        var losses = (await service.Metrics(id)).Where(row => row.Name == "loss").ToList();
        Assert.Equal(Enumerable.Range(1, 200), losses.Select(row => row.Step));
        Assert.Equal(losses.Count, losses.DistinctBy(row => row.Seq).Count());
    }
}
