using FineTuneService.Storage.Postgres;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FineTuneService.Api.Tests;

public sealed class MigrateCommandTests(Api api)
{
    [Fact]
    public async Task It_brings_the_schemas_up_to_date_and_ends()
    {
        await api.InDatabase(db => db.Database.ExecuteSqlRawAsync("CREATE DATABASE migrated", Api.Cancel));
        var connection = new NpgsqlConnectionStringBuilder(api.Services.GetRequiredService<EmbeddedPostgres>().ConnectionString) { Database = "migrated", Pooling = false };
        var (whole, password) = (connection.ConnectionString, connection.Password);
        connection.Remove(nameof(connection.Password));
        var folder = Directory.CreateTempSubdirectory("finetune-migrate-").FullName;

        using (var migrate = ApiProcess.Start(folder, connection.ConnectionString, "migrate", ("PGPASSWORD", password!)))
        {
            var said = await migrate.StandardOutput.ReadToEndAsync(Api.Cancel);
            await migrate.WaitForExitAsync(Api.Cancel);
            Assert.True(migrate.ExitCode == 0, said);
        }

        await using var database = NpgsqlDataSource.Create(whole);
        await using var count = database.CreateCommand("SELECT (SELECT count(*) FROM finetune.jobs) + (SELECT count(*) FROM hangfire.job)");
        Assert.Equal(0L, await count.ExecuteScalarAsync(Api.Cancel));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder)); // No data, no cluster of its own.
        Directory.Delete(folder);
    }
}
