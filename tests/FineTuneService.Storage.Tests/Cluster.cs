using FineTuneService.Storage.Postgres;
using FineTuneService.Storage.Tests;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

[assembly: AssemblyFixture(typeof(Cluster))]

namespace FineTuneService.Storage.Tests;

/// <summary>One real PostgreSQL for all tests of the assembly, made by the code that the service makes its own with.</summary>
public sealed class Cluster : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-cluster-").FullName;
    private EmbeddedPostgres? _postgres;
    private int _databases;

    public async ValueTask InitializeAsync() => _postgres = await EmbeddedPostgres.Start(Path.Combine(_folder, "postgres"));

    public async ValueTask DisposeAsync()
    {
        await _postgres!.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>A migrated database of its own, and the service's parts on it.</summary>
    public async Task<ServiceProvider> CreateDatabase()
    {
        var connection = new NpgsqlConnectionStringBuilder(_postgres!.ConnectionString);
        var name = $"test_{Interlocked.Increment(ref _databases)}";
        await using (var admin = new NpgsqlConnection(connection.ConnectionString))
        {
            await admin.OpenAsync();
            await using var create = new NpgsqlCommand($"CREATE DATABASE {name}", admin);
            await create.ExecuteNonQueryAsync();
        }
        connection.Database = name;
        connection.MaxPoolSize = 10;
        await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => FineTuneDb.Migrate(connection.ConnectionString))); // As hosts do that start together.
        return new ServiceCollection().AddSingleton(TimeProvider.System).AddLogging().AddFineTuneDatabase(connection.ConnectionString).BuildServiceProvider();
    }
}
