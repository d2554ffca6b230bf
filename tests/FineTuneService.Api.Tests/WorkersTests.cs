using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

public sealed class WorkersTests(Api api)
{
    [Fact]
    public async Task Workers_are_seen_with_what_they_run_and_what_waits_for_them()
    {
        var now = TimeProvider.System.GetUtcNow();
        var running = await api.PutJob(JobStatus.Running);
        await api.InDatabase(async db =>
        {
            db.Workers.Add(Worker("w1:7", now, ["tpu", "big"], busy: 1));
            db.Workers.Add(Worker("w2:7", now - TimeSpan.FromMinutes(1), []));
            db.Workers.Add(Worker("w3:7", now, [], draining: true));
            await db.SaveChangesAsync(Api.Cancel);
            return await db.Jobs.Where(job => job.Id == running).ExecuteUpdateAsync(job => job.SetProperty(row => row.Worker, "w1:7"), Api.Cancel);
        });
        await api.PostJob(""", "scheduling": {"requires": "tpu"}""");

        var answer = await api.Get("/workers");

        var workers = answer["workers"]!.AsArray().Where(worker => ((string)worker!["machine"]!).StartsWith('w')).ToList();
        Assert.Equal(["alive", "silent", "draining"], workers.Select(worker => (string)worker!["state"]!));
        Assert.Equal((2, 1, running, "tpu"), ((int)workers[0]!["slots"]!, (int)workers[0]!["busy"]!, (string)workers[0]!["jobs"]!.AsArray().Single()!, (string)workers[0]!["capabilities"]![0]!));
        var queues = answer["queues"]!.AsArray().ToDictionary(queue => (string?)queue!["capability"] ?? "", queue => (int)queue!["waiting"]!);
        Assert.Equal((1, 0), (queues["tpu"], queues["big"]));
        Assert.Contains("", queues.Keys);
    }

    private static WorkerHost Worker(string id, DateTimeOffset heartbeat, string[] capabilities, int busy = 0, bool draining = false) =>
        new() { Id = id, Machine = id[..2], Capabilities = capabilities, Slots = 2, Busy = busy, Draining = draining, Version = "1", StartedAt = heartbeat, HeartbeatAt = heartbeat };
}
