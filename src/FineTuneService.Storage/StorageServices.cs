using FineTuneService.Contracts;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Storage.Postgres;
using Hangfire;
using Hangfire.PostgreSql;
using Hangfire.PostgreSql.Factories;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace FineTuneService.Storage;

/// <summary>What both hosts need: folders, database (configured or embedded, migrated), Hangfire's storage, the trainer's place.</summary>
public static class StorageServices
{
    /// <summary>
    /// A job's lease: a worker that is alive renews it all the time; one that is dead loses its job after it. Hangfire's defaults (30 minutes, not renewed)
    /// would hand a two-hour job to a second worker while the first still trains, and let a dead worker's job wait for half an hour.
    /// </summary>
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(20);

    public static async Task AddFineTuneStorage(this IHostApplicationBuilder builder)
    {
        var services = builder.Services;
        services.TryAddSingleton(TimeProvider.System);
        var settings = StorageSettings.From(builder.Configuration, builder.Environment.ContentRootPath);
        services.AddSingleton(settings);
        services.AddSingleton(_ => TrainerLocation.Find(builder.Configuration));
        services.AddSingleton(builder.Configuration.GetSection("Sinks").Get<SinkSettings>() ?? new());
        services.AddArtifacts(settings);
        services.AddSingleton<MergedCheckpoints>();
        services.AddSingleton<JobDeletion>();

        var connectionString = builder.Configuration.GetConnectionString("Postgres");
        if (connectionString is null)
        {
            var postgres = await EmbeddedPostgres.Start(Path.Combine(settings.DataDirectory, "postgres"));
            services.AddSingleton(_ => postgres).AddHostedService<PostgresKeeper>(); // By a factory: an instance given as such would not be disposed with the host.
            connectionString = postgres.ConnectionString;
        }
        await FineTuneDb.Migrate(connectionString);
        services.AddFineTuneDatabase(connectionString);
    }

    /// <summary>Brings the schemas up to date, ours and Hangfire's, and does nothing else: for a role that may do so, before hosts start whose role may not.</summary>
    /// <exception cref="FaultException">When no database is configured.</exception>
    public static async Task MigrateFineTuneStorage(this IHostApplicationBuilder builder)
    {
        var connectionString = builder.Configuration.GetConnectionString("Postgres")
            ?? throw new FaultException("ConnectionStrings:Postgres", null, "No database is configured.", "Set it; one of the service's own is migrated when the service starts.");
        await FineTuneDb.Migrate(connectionString);
        _ = new PostgreSqlStorage(new NpgsqlConnectionFactory(connectionString, HangfireOptions()), HangfireOptions()); // Lays out its schema.
    }

    /// <summary>On a database that is there and migrated.</summary>
    public static IServiceCollection AddFineTuneDatabase(this IServiceCollection services, string connectionString)
    {
        // A process that is stopped in the middle of a transaction, or cut off, would hold its locks, Hangfire's among them, for as long as it sleeps. And compiling a question takes Postgres longer than any of ours.
        var settings = new NpgsqlConnectionStringBuilder(connectionString);
        settings.Options ??= "-c idle_in_transaction_session_timeout=60s -c jit=off";
        if (!settings.ShouldSerialize("Max Auto Prepare"))
            settings.MaxAutoPrepare = 50; // Polls ask the same few questions again and again: planned once per connection.
        connectionString = settings.ConnectionString;
        settings.NoResetOnClose = true; // Nothing of ours leaves a setting or a lock behind, and a reset costs the server more than most questions do.
        services.AddSingleton(_ => NpgsqlDataSource.Create(settings));
        services.AddDbContextFactory<FineTuneDb>((provider, options) => options.UseNpgsql(provider.GetRequiredService<NpgsqlDataSource>()).UseSnakeCaseNamingConvention());
        services.AddSingleton<JobQueue>();
        services.AddSingleton<JobStates>();
        services.AddSingleton<JobRequests>();
        services.AddSingleton<JobClaims>();
        services.AddSingleton<QueuePlaces>();
        services.AddSingleton<QueueForecast>();
        services.AddSingleton<WaitingJobs>();
        services.AddSingleton<SweepProgress>();
        services.AddSingleton<SweepStates>();
        services.AddSingleton<RunProjection>();
        services.AddHangfire(hangfire => hangfire
            .UseSerilogLogProvider() // Hangfire keeps its log provider in a static: the default would be the newest host's, and fail every other host once that one is disposed.
            .UseRecommendedSerializerSettings()
            .UseSimpleAssemblyNameTypeSerializer()
            .UsePostgreSqlStorage(storage => storage.UseNpgsqlConnection(connectionString), HangfireOptions()));
        return services;
    }

    internal static PostgreSqlStorageOptions HangfireOptions() => new()
    {
        InvisibilityTimeout = Lease,
        UseSlidingInvisibilityTimeout = true,
        EnableLongPolling = true,
        QueuePollInterval = TimeSpan.FromSeconds(5), // What LISTEN misses, such as a lease that has run out.
        DistributedLockTimeout = TimeSpan.FromMinutes(1),
    };
}
