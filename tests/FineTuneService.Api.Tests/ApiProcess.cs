using System.Diagnostics;

namespace FineTuneService.Api.Tests;

/// <summary>The API as operators run it: a process of its own.</summary>
internal static class ApiProcess
{
    /// <param name="postgres">Connection string; null: the embedded database, under <paramref name="data"/>.</param>
    /// <param name="password">As operators give it who keep it apart from the connection string.</param>
    public static Process Start(string data, string? postgres = null, string? password = null, params string[] arguments)
    {
        // …/artifacts/bin/<project>/<configuration>/
        var output = new DirectoryInfo(Api.Output);
        var start = new ProcessStartInfo(Path.Combine(output.Parent!.Parent!.FullName, "FineTuneService.Api", output.Name, "FineTuneService.Api"), arguments) { RedirectStandardOutput = true, WorkingDirectory = data };
        start.Environment["ASPNETCORE_URLS"] = "http://127.0.0.1:0";
        start.Environment["Access__BootstrapKey"] = Api.Key;
        if (postgres is not null)
            start.Environment["ConnectionStrings__Postgres"] = postgres;
        if (password is not null)
            start.Environment["PGPASSWORD"] = password;
        start.Environment["Storage__DataDirectory"] = data;
        start.Environment["Serilog__MinimumLevel__Override__Microsoft.Hosting.Lifetime"] = "Information";
        // How much garbage .NET lets lie before it collects follows the processor's cache: a quarter of a gigabyte on some. 16 MB everywhere, so that what a test measures is what the service holds.
        start.Environment["DOTNET_GCgen0size"] = "0x1000000";
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
