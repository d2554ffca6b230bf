using Hangfire;
using Hangfire.PostgreSql;
using Hangfire.PostgreSql.Factories;
using Hangfire.States;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace FineTuneService.Storage;

/// <summary>Puts jobs into Hangfire's queue.</summary>
public sealed class JobQueue(NpgsqlDataSource database, JobStorage hangfire, TimeProvider clock)
{
    /// <summary>Job row, first event and queue entry in one transaction: all of them are there, or none.</summary>
    public async Task Enqueue(Job job, CancellationToken cancel)
    {
        _ = hangfire; // Its first use lays out Hangfire's schema, which must not happen inside the transaction.
        using var transaction = Transactions.Begin();
        await using var connection = database.CreateConnection();
        await connection.OpenAsync(cancel); // Enlists: whatever is done on this connection belongs to the transaction.
        job.HangfireJobId = Client(connection).Create<RunJobCall>(run => run.Execute(job.Id, CancellationToken.None), new EnqueuedState());
        await using var db = new FineTuneDb(new DbContextOptionsBuilder<FineTuneDb>().UseNpgsql(connection).UseSnakeCaseNamingConvention().Options);
        db.Jobs.Add(job);
        db.Events.Add(JobStates.StatusEvent(job, clock));
        await db.SaveChangesAsync(cancel);
        transaction.Complete();
    }

    /// <summary>Another attempt, after <paramref name="delay"/>.</summary>
    public string EnqueueAgain(string jobId, TimeSpan delay) =>
        new BackgroundJobClient(hangfire).Schedule<RunJobCall>(run => run.Execute(jobId, CancellationToken.None), delay);

    private static BackgroundJobClient Client(NpgsqlConnection connection)
    {
        var options = StorageServices.HangfireOptions();
        options.PrepareSchemaIfNecessary = false;
        options.EnableLongPolling = false; // This storage only writes.
        options.UseSlidingInvisibilityTimeout = false;
        return new BackgroundJobClient(new PostgreSqlStorage(new ExistingNpgsqlConnectionFactory(connection, options), options));
    }
}
