using System.Diagnostics;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace FineTuneService.Worker.Tests;

/// <summary>deploy/backup and deploy/restore, as an operator calls them.</summary>
public sealed class BackupTests : IAsyncLifetime
{
    private readonly House _house = new();
    private readonly string _backup = Directory.CreateTempSubdirectory("finetune-backup-").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _house.InitializeAsync();

    public async ValueTask DisposeAsync()
    {
        await _house.DisposeAsync();
        Directory.Delete(_backup, recursive: true);
    }

    [Fact]
    public async Task What_ran_and_what_waited_when_the_backup_was_made_is_done_after_it_is_restored()
    {
        var worker = _house.StartWorker();
        var running = await _house.Enqueue(steps: 150);
        var queued = await _house.Enqueue(steps: 10);
        await _house.WaitFor(running, job => job.Step >= 60); // It has a checkpoint, at step 50.
        await Run("backup", _house.ConnectionString, _house.Storage.DataDirectory, _backup);
        worker.Kill(); // The house is lost.
        await worker.WaitForExitAsync(Cancel);

        var fresh = new NpgsqlConnectionStringBuilder(_house.ConnectionString) { Database = "restored" };
        await using (var db = await _house.Database())
            await db.Database.ExecuteSqlRawAsync("CREATE DATABASE restored", Cancel);
        var data = Directory.CreateTempSubdirectory("finetune-restored-").FullName;
        await Run("restore", fresh.ConnectionString, _backup, data);
        await _house.MoveTo(fresh.ConnectionString, data);
        Assert.Equal(JobStatus.Running, (await _house.WaitFor(running, _ => true)).Status);
        Assert.Equal(JobStatus.Queued, (await _house.WaitFor(queued, _ => true)).Status);

        _house.StartWorker(("Worker__HeartbeatLease", "00:00:05"));

        await _house.WaitFor(queued, job => job.Status == JobStatus.Succeeded);
        Assert.Equal(2, (await _house.WaitFor(running, job => job.Status == JobStatus.Succeeded)).Attempt);
        Assert.Equal(Enumerable.Range(1, 150), (await _house.Losses(running)).Select(loss => loss.Step));
    }

    private static async Task Run(string script, string database, params string[] arguments)
    {
        var connection = new NpgsqlConnectionStringBuilder(database);
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "deploy", script), arguments) { RedirectStandardError = true };
        (start.Environment["PGHOST"], start.Environment["PGPORT"]) = (connection.Host, $"{connection.Port}");
        (start.Environment["PGDATABASE"], start.Environment["PGUSER"], start.Environment["PGPASSWORD"]) = (connection.Database, connection.Username, connection.Password);
        using var process = Process.Start(start)!;
        var errors = await process.StandardError.ReadToEndAsync(Cancel);
        await process.WaitForExitAsync(Cancel);
        Assert.True(process.ExitCode == 0, errors);
    }
}
