using System.Diagnostics;
using FineTuneService.Storage.Postgres;
using FineTuneService.Storage.Tests;
using Npgsql;

[assembly: AssemblyFixture(typeof(ReadyCluster))]

namespace FineTuneService.Storage.Tests;

/// <summary>A cluster whose schema is up to date, made once for an assembly. Tests that want one to themselves begin with a copy, which takes a tenth of the time.</summary>
public sealed class ReadyCluster : IAsyncDisposable
{
    private static readonly Lazy<Task<DirectoryInfo>> Made = new(Make);

    public async ValueTask DisposeAsync()
    {
        if (Made.IsValueCreated)
            (await Made.Value).Delete(recursive: true);
    }

    /// <param name="folder">Of an <see cref="EmbeddedPostgres"/> which has not been started yet.</param>
    public static async Task CopyTo(string folder)
    {
        using var copy = Process.Start("cp", ["--archive", (await Made.Value).FullName, folder]);
        await copy.WaitForExitAsync();
        Assert.Equal(0, copy.ExitCode);
    }

    private static async Task<DirectoryInfo> Make()
    {
        var folder = Directory.CreateTempSubdirectory("finetune-cluster-");
        await using (var postgres = await EmbeddedPostgres.Start(folder.FullName))
        {
            await FineTuneDb.Migrate(postgres.ConnectionString);
            NpgsqlConnection.ClearAllPools();
        }
        File.Delete(Path.Combine(folder.FullName, "port")); // Each chooses its own.
        return folder;
    }
}
