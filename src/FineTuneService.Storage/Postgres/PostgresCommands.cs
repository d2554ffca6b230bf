using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using FineTuneService.Contracts;

namespace FineTuneService.Storage.Postgres;

/// <summary>
/// Runs PostgreSQL's own commands. Postgres refuses to run as root, so root lends itself the user <c>postgres</c> or <c>nobody</c>
/// by <c>setpriv</c>; and where that user cannot reach the cluster's folder (a clone under /root), also the one capability to pass through folders.
/// </summary>
internal sealed class PostgresCommands
{
    private const int OldestVersion = 15;

    private readonly string _bin;
    private readonly string? _user;
    private readonly bool _needsPassage;

    /// <param name="folder">The folder that the cluster will live in; created, and given to the user that will own it.</param>
    /// <exception cref="FaultException">When PostgreSQL is not installed.</exception>
    public PostgresCommands(string folder)
    {
        _bin = FindBinaries();
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (Environment.UserName != "root")
            return;
        _user = File.ReadLines("/etc/passwd").Any(line => line.StartsWith("postgres:", StringComparison.Ordinal)) ? "postgres" : "nobody";
        _needsPassage = Ancestors(folder).Any(ancestor => !File.GetUnixFileMode(ancestor).HasFlag(UnixFileMode.OtherExecute));
        Execute("chown", ["-R", _user, folder]);
    }

    /// <summary>Runs one of PostgreSQL's commands as the cluster's owner, to its end.</summary>
    /// <exception cref="InvalidOperationException">With what it said, when it fails.</exception>
    public string Run(string command, params string[] arguments)
    {
        string[] call = [Path.Combine(_bin, command), .. arguments];
        return _user is null ? Execute(call[0], call[1..]) : Execute("setpriv", [$"--reuid={_user}", $"--regid={Group(_user)}", "--clear-groups", .. Passage(), .. call]);
    }

    private IEnumerable<string> Passage() => _needsPassage ? ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"] : [];

    private static string Execute(string command, string[] arguments)
    {
        // From the root folder: the user that takes over may not enter ours.
        var start = new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        start.Environment["LC_ALL"] = "C";
        using var process = Start(start);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output
            : throw new InvalidOperationException($"{Path.GetFileName(command)} {string.Join(' ', arguments)} ended with {process.ExitCode}: {output}{error.GetAwaiter().GetResult()}");
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception error)
        {
            throw new FaultException("PATH", start.FileName, $"The command cannot be run: {error.Message}.", "Install it (setpriv is in util-linux), or set ConnectionStrings:Postgres to a database that runs.");
        }
    }

    private static string FindBinaries()
    {
        var versions = new[] { "/usr/lib/postgresql", "/usr" }.Where(Directory.Exists)
            .SelectMany(root => Directory.EnumerateDirectories(root, root == "/usr" ? "pgsql-*" : "*"))
            .Select(folder => (Folder: Path.Combine(folder, "bin"), Version: int.TryParse(Path.GetFileName(folder).Replace("pgsql-", "", StringComparison.Ordinal), CultureInfo.InvariantCulture, out var version) ? version : 0));
        var onPath = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Where(folder => File.Exists(Path.Combine(folder, "initdb"))).Select(folder => (Folder: folder, Version: OldestVersion));
        return versions.Where(found => found.Version >= OldestVersion && File.Exists(Path.Combine(found.Folder, "initdb"))).OrderByDescending(found => found.Version).Concat(onPath).FirstOrDefault().Folder
            ?? throw new FaultException("ConnectionStrings:Postgres", null, $"No connection string is configured, and no PostgreSQL {OldestVersion} or newer is installed for a database of our own.", "Install the package postgresql (Debian, Ubuntu) or postgresql-server (RHEL), or set ConnectionStrings:Postgres.");
    }

    private static string Group(string user) => File.ReadLines("/etc/passwd").First(line => line.StartsWith(user + ":", StringComparison.Ordinal)).Split(':')[3];

    private static IEnumerable<string> Ancestors(string folder)
    {
        for (var parent = Directory.GetParent(Path.GetFullPath(folder)); parent is not null; parent = parent.Parent)
            yield return parent.FullName;
    }
}
