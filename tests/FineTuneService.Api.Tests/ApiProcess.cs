using System.Diagnostics;

namespace FineTuneService.Api.Tests;

/// <summary>The API as operators run it: a process of its own.</summary>
internal static class ApiProcess
{
    /// <param name="postgres">Connection string; null: the embedded database, under <paramref name="data"/>.</param>
    /// <param name="command">What to do instead of serving.</param>
    /// <param name="settings">As environment variables.</param>
    public static Process Start(string data, string? postgres = null, string? command = null, params IEnumerable<(string Name, string Value)> settings)
    {
        // …/artifacts/bin/<project>/<configuration>/
        var output = new DirectoryInfo(Api.Output);
        var start = new ProcessStartInfo(Path.Combine(output.Parent!.Parent!.FullName, "FineTuneService.Api", output.Name, "FineTuneService.Api"), command is null ? [] : [command]) { RedirectStandardOutput = true, WorkingDirectory = data };
        start.Environment["ASPNETCORE_URLS"] = "http://127.0.0.1:0";
        start.Environment["Access__BootstrapKey"] = Api.Key;
        if (postgres is not null)
            start.Environment["ConnectionStrings__Postgres"] = postgres;
        start.Environment["Storage__DataDirectory"] = data;
        start.Environment["Serilog__MinimumLevel__Override__Microsoft.Hosting.Lifetime"] = "Information";
        // How much garbage .NET lets lie before it collects follows the processor's cache: a quarter of a gigabyte on some. 16 MB everywhere, so that what a test measures is what the service holds.
        start.Environment["DOTNET_GCgen0size"] = "0x1000000";
        start.Environment["Webhooks__Parallel"] = "0"; // Where it shares a database, the messages are not for it to send,
        start.Environment["Datasets__Preparations"] = "0"; // and the reports not for it to make, in a folder that its test may be watching.
        start.Environment["Datasets__ReportOnUpload"] = "false";
        foreach (var (name, value) in settings)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }

    public static async Task<string> ListeningUrl(Process process)
    {
        const string Mark = "Now listening on: ";
        while (await process.StandardOutput.ReadLineAsync(Api.Cancel) is { } line)
            if (line.Contains(Mark, StringComparison.Ordinal))
            {
                _ = process.StandardOutput.ReadToEndAsync(CancellationToken.None); // A full pipe would stop it.
                return line[(line.IndexOf(Mark, StringComparison.Ordinal) + Mark.Length)..].Trim();
            }
        throw new InvalidOperationException("The API ended before it listened.");
    }
}
