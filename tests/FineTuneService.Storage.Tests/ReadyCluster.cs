using System.Diagnostics;
using FineTuneService.Storage.Postgres;
using Npgsql;

namespace FineTuneService.Storage.Tests;

/// <summary>A cluster whose schema is up to date, made once a process. Tests that want one to themselves begin with a copy, which takes a tenth of the time.</summary>
internal static class ReadyCluster
{
    private static readonly Lazy<Task<string>> Made = new(Make);

    /// <param name="folder">Of an <see cref="EmbeddedPostgres"/> which has not been started yet.</param>
    public static async Task CopyTo(string folder)
    {
        using var copy = Process.Start("cp", ["--archive", await Made.Value, folder]);
        await copy.WaitForExitAsync();
        Assert.Equal(0, copy.ExitCode);
    }

    private static async Task<string> Make()
    {
        var home = Directory.CreateTempSubdirectory("finetune-cluster-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(home, recursive: true);
        var folder = Path.Combine(home, "postgres");
        await using (var postgres = await EmbeddedPostgres.Start(folder))
        {
            await FineTuneDb.Migrate(postgres.ConnectionString);
            NpgsqlConnection.ClearAllPools();
        }
        File.Delete(Path.Combine(folder, "port")); // Each chooses its own.
        return folder;
    }
}
