using System.Diagnostics;
using System.Globalization;
using FineTuneService.Storage.Postgres;
using Npgsql;

namespace FineTuneService.Storage.Tests;

public sealed class EmbeddedPostgresTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-postgres-").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string Folder => Path.Combine(_folder, "postgres");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task The_last_of_two_users_stops_it_and_the_next_finds_its_data()
    {
        var first = await EmbeddedPostgres.Start(Folder, Cancel);
        var second = await EmbeddedPostgres.Start(Folder, Cancel);
        Assert.Equal(first.ConnectionString, second.ConnectionString);
        await Execute(first, "CREATE TABLE kept (value int)");
        await first.DisposeAsync();
        await Execute(second, "INSERT INTO kept VALUES (1)");
        await second.DisposeAsync();
        Assert.False(File.Exists(Path.Combine(Folder, "cluster", "postmaster.pid")));

        await using var third = await EmbeddedPostgres.Start(Folder, Cancel);
        Assert.Equal(second.ConnectionString, third.ConnectionString); // The port stays where it is free.
        Assert.Equal(1L, await Execute(third, "SELECT count(*) FROM kept"));
    }

    [Fact]
    public async Task Killed_uncleanly_it_is_started_again()
    {
        await using var postgres = await EmbeddedPostgres.Start(Folder, Cancel);
        var postmaster = Process.GetProcessById(int.Parse(File.ReadLines(Path.Combine(Folder, "cluster", "postmaster.pid")).First(), CultureInfo.InvariantCulture));
        postmaster.Kill();
        await postmaster.WaitForExitAsync(Cancel);

        await postgres.EnsureRunning(Cancel);

        Assert.Equal(1, await Execute(postgres, "SELECT 1"));
    }

    [Fact]
    public async Task Its_password_is_secret_and_needed()
    {
        await using var postgres = await EmbeddedPostgres.Start(Folder, Cancel);
        var connection = new NpgsqlConnectionStringBuilder(postgres.ConnectionString);

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(Folder, "password")));
        Assert.Equal("127.0.0.1", connection.Host);
        connection.Password = "wrong";
        await using var stranger = new NpgsqlConnection(connection.ConnectionString);
        Assert.Equal(PostgresErrorCodes.InvalidPassword, (await Assert.ThrowsAsync<PostgresException>(() => stranger.OpenAsync(Cancel))).SqlState);
    }

    /// <summary>Such as a clone under /root, which no other user may enter.</summary>
    [Fact]
    public async Task It_lives_in_a_folder_that_only_its_owner_may_enter()
    {
        File.SetUnixFileMode(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await using var postgres = await EmbeddedPostgres.Start(Folder, Cancel);

        Assert.Equal(1, await Execute(postgres, "SELECT 1"));
    }

    private static async Task<object?> Execute(EmbeddedPostgres postgres, string sql)
    {
        NpgsqlConnection.ClearAllPools(); // A pooled connection may be to a server that was killed.
        await using var connection = new NpgsqlConnection(postgres.ConnectionString);
        await connection.OpenAsync(Cancel);
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync(Cancel);
    }
}
