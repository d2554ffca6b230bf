using System.Diagnostics;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Worker.Tests;

/// <summary>Trainers that do not do what they should, and so leave the cores to the tests beside them.</summary>
public sealed class TrainerTroubleTests : IAsyncLifetime
{
    private readonly House _house = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _house.InitializeAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task A_trainer_that_stands_still_is_told_of_and_so_is_that_it_goes_on()
    {
        _house.StartWorker(("Worker__StallPatience", "00:00:04"));
        var id = await _house.Enqueue(steps: 100_000);
        await _house.WaitFor(id, job => job.Step >= 5);
        using (var trainer = _house.Trainer(id))
        {
            Process.Start("kill", ["-STOP", $"{trainer.Id}"]).WaitForExit();
            await Told(id, "computes nothing: it waits for something");
            Process.Start("kill", ["-CONT", $"{trainer.Id}"]).WaitForExit();
        }
        await Told(id, "The trainer goes on after");
        await _house.Requests.Cancel(id, Cancel);
        await _house.WaitFor(id, job => job.Status == JobStatus.Cancelled);

        async Task Told(string job, string message)
        {
            while (true)
            {
                await using var db = await _house.Database();
                var notes = await db.Events.Where(row => row.JobId == job && row.Type == "note").Select(row => row.Data).ToListAsync(Cancel);
                if (notes.Any(note => note.Contains("\"stalled\"", StringComparison.Ordinal) && note.Contains(message, StringComparison.Ordinal)))
                    return;
                await Task.Delay(100, Cancel);
            }
        }
    }

    [Fact]
    public async Task A_job_that_loses_every_attempt_fails_with_the_cause()
    {
        _house.StartWorker(("Worker__TrainerPath", "/bin/false"), ("Worker__RetryDelay", "00:00:00"));
        var id = await _house.Enqueue(steps: 10);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Failed);

        Assert.Equal(3, job.Attempt);
        Assert.Contains("exit code 1", job.Reason, StringComparison.Ordinal);
    }

    /// <summary>A trainer that dies as one does in which the C++ runtime finds no memory: there is nothing to catch, and only its supervisor can tell.</summary>
    [Fact]
    public async Task What_died_for_want_of_memory_is_told_to_the_next_attempt()
    {
        var trainer = Path.Combine(_house.Storage.DataDirectory, "trainer");
        await File.WriteAllTextAsync(trainer, """
            #!/bin/sh
            echo "terminate called after throwing an instance of 'std::bad_alloc'" >&2
            kill -ABRT $$

            """, Cancel);
        File.SetUnixFileMode(trainer, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        _house.StartWorker(("Worker__TrainerPath", trainer), ("Worker__RetryDelay", "00:00:00"));
        var id = await _house.Enqueue(steps: 10);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Failed);

        Assert.Contains("The trainer aborted because memory ran out", job.Reason, StringComparison.Ordinal);
        Assert.Equal("The trainer aborted because memory ran out", await File.ReadAllTextAsync(_house.Storage.Run(id).OutOfMemory, Cancel));
        Assert.Equal(3, job.Attempt); // It took no notice of what it was told, so it may not go on for ever.
    }

    [Fact]
    public async Task A_fault_is_the_users_and_is_not_retried()
    {
        await using (var db = await _house.Database())
            await File.WriteAllTextAsync(_house.Storage.DatasetFile(await db.Datasets.SingleAsync(row => row.Id == "ds_dev", Cancel)), "text\tlabel\nfine\t7\n", Cancel);
        _house.StartWorker();
        var id = await _house.Enqueue(steps: 10);

        var job = await _house.WaitFor(id, job => job.Status == JobStatus.Failed);

        Assert.Equal(1, job.Attempt);
        Assert.Contains("ds_dev.tsv:2", job.Faults, StringComparison.Ordinal);
    }
}
