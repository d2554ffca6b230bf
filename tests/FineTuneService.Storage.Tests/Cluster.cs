using FineTuneService.Storage.Postgres;
using FineTuneService.Storage.Tests;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

[assembly: AssemblyFixture(typeof(Cluster))]

namespace FineTuneService.Storage.Tests;

/// <summary>One real PostgreSQL for all tests of the assembly, made by the code that the service makes its own with.</summary>
public sealed class Cluster : IAsyncLifetime
{
    private const string Template = "migrated";

    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-cluster-").FullName;
    private EmbeddedPostgres? _postgres;
    private readonly Lazy<Task> _template;
    private int _databases;

    public Cluster() => _template = new(MakeTemplate);

    public async ValueTask InitializeAsync() => _postgres = await EmbeddedPostgres.Start(Path.Combine(_folder, "postgres"));

    public async ValueTask DisposeAsync()
    {
        await _postgres!.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>A migrated database of its own, and the service's parts on it.</summary>
    public async Task<ServiceProvider> CreateDatabase()
    {
        await _template.Value;
        var connection = await Create($"test_{Interlocked.Increment(ref _databases)}", Template);
        connection.MaxPoolSize = 10;
        return new ServiceCollection().AddSingleton(TimeProvider.System).AddLogging().AddFineTuneDatabase(connection.ConnectionString).BuildServiceProvider();
    }

    private async Task MakeTemplate()
    {
        var connection = await Create(Template, "template1");
        connection.Pooling = false; // A database that anybody is connected to is no template.
        await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => FineTuneDb.Migrate(connection.ConnectionString))); // As hosts do that start together.
    }

    private async Task<NpgsqlConnectionStringBuilder> Create(string name, string template)
    {
        var connection = new NpgsqlConnectionStringBuilder(_postgres!.ConnectionString);
        await using var admin = NpgsqlDataSource.Create(connection);
        await using var create = admin.CreateCommand($"CREATE DATABASE {name} TEMPLATE {template}");
        await create.ExecuteNonQueryAsync();
        connection.Database = name;
        return connection;
    }
}
