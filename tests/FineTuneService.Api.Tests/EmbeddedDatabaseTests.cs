using System.Diagnostics;

namespace FineTuneService.Api.Tests;

public sealed class EmbeddedDatabaseTests
{
    [Fact]
    public async Task A_host_that_ends_takes_its_database_along()
    {
        var data = Directory.CreateTempSubdirectory("finetune-embedded-").FullName;
        var server = Path.Combine(data, "postgres", "cluster", "postmaster.pid");
        // …/artifacts/bin/<project>/<configuration>/
        var output = new DirectoryInfo(Api.Output);
        var start = new ProcessStartInfo(Path.Combine(output.Parent!.Parent!.FullName, "FineTuneService.Api", output.Name, "FineTuneService.Api")) { RedirectStandardOutput = true, WorkingDirectory = data };
        start.Environment["ASPNETCORE_URLS"] = "http://127.0.0.1:0";
        start.Environment["Storage__DataDirectory"] = data;
        start.Environment["Serilog__MinimumLevel__Override__Microsoft.Hosting.Lifetime"] = "Information";
        using var host = Process.Start(start)!;
        while (await host.StandardOutput.ReadLineAsync(Api.Cancel) is { } line && !line.Contains("Now listening on", StringComparison.Ordinal))
            continue;
        Assert.True(File.Exists(server));
        _ = host.StandardOutput.ReadToEndAsync(CancellationToken.None); // A full pipe would stop it.

        Process.Start("kill", ["-TERM", $"{host.Id}"]).WaitForExit();
        await host.WaitForExitAsync(Api.Cancel);

        Assert.False(File.Exists(server), "The embedded PostgreSQL still runs.");
        Directory.Delete(data, recursive: true);
    }
}
