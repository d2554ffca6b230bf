using System.Diagnostics;

namespace FineTuneService.Api.Tests;

public sealed class EmbeddedDatabaseTests
{
    [Fact]
    public async Task A_host_that_ends_takes_its_database_along()
    {
        var data = Directory.CreateTempSubdirectory("finetune-embedded-").FullName;
        var server = Path.Combine(data, "postgres", "cluster", "postmaster.pid");
        using var host = ApiProcess.Start(data);
        await ApiProcess.ListeningUrl(host);
        Assert.True(File.Exists(server));

        Process.Start("kill", ["-TERM", $"{host.Id}"]).WaitForExit();
        await host.WaitForExitAsync(Api.Cancel);

        Assert.False(File.Exists(server), "The embedded PostgreSQL still runs.");
        Directory.Delete(data, recursive: true);
    }
}
