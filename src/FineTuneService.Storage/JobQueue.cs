using FineTuneService.Contracts;
using FineTuneService.Storage.Telemetry;
using Hangfire;
using Hangfire.PostgreSql;
using Hangfire.PostgreSql.Factories;
using Hangfire.States;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace FineTuneService.Storage;

/// <summary>
/// Hangfire's queue holds tickets: each lets a worker with the needed capability run one job, whichever is next by <see cref="JobClaims"/>.
/// So the order is decided when a worker is free, by the rows as they are then, and a surplus ticket finds nothing.
/// </summary>
public sealed class JobQueue(NpgsqlDataSource database, JobStorage hangfire, TimeProvider clock)
{
    /// <summary>Job row, first event, messages to webhooks and queue entry in one transaction: all of them are there, or none.</summary>
    public async Task Enqueue(Job job, CancellationToken cancel)
    {
        using var span = JobTrace.StartQueueing(job);
        _ = hangfire; // Its first use lays out Hangfire's schema, which must not happen inside the transaction.
        using var transaction = Transactions.Begin();
        await using var connection = database.CreateConnection();
        await connection.OpenAsync(cancel); // Enlists: whatever is done on this connection belongs to the transaction.
        if (job.Status == JobStatus.Queued)
            job.HangfireJobId = Client(connection).Create<RunJobCall>(run => run.Execute(QueueFor(job.Requires), CancellationToken.None), new EnqueuedState(QueueFor(job.Requires)));
        await using var db = new FineTuneDb(new DbContextOptionsBuilder<FineTuneDb>().UseNpgsql(connection).UseSnakeCaseNamingConvention().Options);
        db.Jobs.Add(job);
        db.Events.Add(JobStates.StatusEvent(job, clock));
        await db.Announce(job, clock.GetUtcNow(), cancel);
        await db.SaveChangesAsync(cancel);
        transaction.Complete();
    }

    /// <summary>One job more that needs <paramref name="requires"/> may run, after <paramref name="delay"/>.</summary>
    public void AddTicket(string? requires, TimeSpan delay)
    {
        var (client, queue) = (new BackgroundJobClient(hangfire), QueueFor(requires));
        if (delay == TimeSpan.Zero)
            client.Create<RunJobCall>(run => run.Execute(queue, CancellationToken.None), new EnqueuedState(queue));
        else
            client.Schedule<RunJobCall>(queue, run => run.Execute(queue, CancellationToken.None), delay);
    }

    /// <summary>Tickets that nobody has taken yet.</summary>
    public long Tickets(string? requires) => hangfire.GetMonitoringApi().EnqueuedCount(QueueFor(requires));

    /// <summary>Hangfire's queue for the jobs that need this capability.</summary>
    public static string QueueFor(string? requires) => requires ?? EnqueuedState.DefaultQueue;

    private static BackgroundJobClient Client(NpgsqlConnection connection)
    {
        var options = StorageServices.HangfireOptions();
        options.PrepareSchemaIfNecessary = false; // EnableLongPolling stays: it also makes whoever enqueues wake the workers.
        options.UseSlidingInvisibilityTimeout = false;
        return new BackgroundJobClient(new PostgreSqlStorage(new ExistingNpgsqlConnectionFactory(connection, options), options));
    }
}
