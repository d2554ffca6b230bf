using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Npgsql;

namespace FineTuneService.Storage.Postgres;

/// <summary>
/// A PostgreSQL cluster of our own in a folder, for those who configure no database. It runs as a process apart, so it survives its users' crashes and is found again.
/// Several processes may use one folder: starting and stopping happen under the lock <c>starting.lock</c>, one process at a time;
/// every user holds <c>users.lock</c> shared, and whoever can then have it alone was the last and turns off the light.
/// </summary>
public sealed class EmbeddedPostgres : IAsyncDisposable
{
    private const string User = "finetune", Database = "finetune";

    private static readonly TimeSpan Burial = TimeSpan.FromSeconds(30);

    private readonly string _folder;
    private readonly PostgresCommands _commands;
    private FileStream? _inUse;

    private EmbeddedPostgres(string folder) => (_folder, _commands) = (folder, new PostgresCommands(folder));

    public string ConnectionString => Connection(Database);

    private string Cluster => Path.Combine(_folder, "cluster");

    private int Port { get; set; }

    /// <summary>Starts the cluster of <paramref name="folder"/>, or joins those who use it already; makes it at the first call.</summary>
    /// <exception cref="Contracts.FaultException">When PostgreSQL is not installed.</exception>
    public static async Task<EmbeddedPostgres> Start(string folder, CancellationToken cancel = default)
    {
        var postgres = new EmbeddedPostgres(Path.GetFullPath(folder));
        postgres._inUse = await Lock(postgres.PathOf("users.lock"), FileAccess.Read, FileShare.Read, cancel);
        await postgres.EnsureRunning(cancel);
        await postgres.CreateDatabase(cancel);
        return postgres;
    }

    /// <summary>Starts the server again if it has died.</summary>
    public async Task EnsureRunning(CancellationToken cancel = default)
    {
        using var starting = await Lock(PathOf("starting.lock"), FileAccess.ReadWrite, FileShare.None, cancel);
        if (!File.Exists(Path.Combine(Cluster, "PG_VERSION")))
            Initialize();
        if (RunningPort() is { } running)
        {
            Port = running;
            return;
        }
        Port = ChoosePort();
        var settings = string.Create(CultureInfo.InvariantCulture, $"-p {Port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 -c shared_buffers=64MB");
        _commands.Run("pg_ctl", "start", "--silent", "--wait", "--timeout=120", "-D", Cluster, "-l", PathOf("postgres.log"), "-o", settings);
        await File.WriteAllTextAsync(PathOf("port"), Port.ToString(CultureInfo.InvariantCulture), cancel);
    }

    /// <summary>Leaves the cluster; the last to leave stops it.</summary>
    public async ValueTask DisposeAsync()
    {
        using var starting = await Lock(PathOf("starting.lock"), FileAccess.ReadWrite, FileShare.None, default);
        _inUse?.Dispose();
        using var alone = TryLock(PathOf("users.lock"), FileAccess.ReadWrite, FileShare.None);
        if (alone is not null && RunningPort() is not null)
            _commands.Run("pg_ctl", "stop", "--silent", "--mode=fast", "-D", Cluster);
    }

    private void Initialize()
    {
        // initdb had no chance to finish when there is a folder without PG_VERSION.
        if (Directory.Exists(Cluster))
            Directory.Delete(Cluster, recursive: true);
        var password = PathOf("password");
        File.Delete(password);
        using (var file = new FileStream(password, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
            file.Write(System.Text.Encoding.ASCII.GetBytes(RandomNumberGenerator.GetHexString(40)));
        _ = new PostgresCommands(_folder); // Gives the password file to the cluster's owner too.
        _commands.Run("initdb", "-D", Cluster, "-U", User, $"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions");
    }

    /// <summary>The port of a live server on this cluster; null when none runs, whatever an unclean stop has left behind.</summary>
    private int? RunningPort()
    {
        // postmaster.pid: process id, data directory, start time, port, …
        var pidFile = Path.Combine(Cluster, "postmaster.pid");
        if (!File.Exists(pidFile))
            return null;
        var lines = File.ReadAllLines(pidFile);
        if (lines.Length < 4 || !int.TryParse(lines[0], CultureInfo.InvariantCulture, out var id) || !int.TryParse(lines[3], CultureInfo.InvariantCulture, out var port))
            return null;
        try
        {
            using var server = Process.GetProcessById(id);
            if (server.ProcessName is not ("postgres" or "postmaster"))
                return null;
            if (Listens(port))
                return port;
            server.WaitForExit(Burial); // It is dying, or dead and nobody has collected it yet: until then its successor would refuse to start.
            return null;
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    private static bool Listens(int port)
    {
        using var client = new TcpClient();
        try
        {
            client.Connect(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private int ChoosePort()
    {
        if (File.Exists(PathOf("port")) && int.TryParse(File.ReadAllText(PathOf("port")), CultureInfo.InvariantCulture, out var last) && TryListen(last) is not null)
            return last;
        return TryListen(0)!.Value;
    }

    private static int? TryListen(int port)
    {
        using var listener = new TcpListener(IPAddress.Loopback, port);
        try
        {
            listener.Start();
            return ((IPEndPoint)listener.LocalEndpoint).Port;
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private async Task CreateDatabase(CancellationToken cancel)
    {
        await using var connection = new NpgsqlConnection(Connection("postgres") + ";Pooling=false");
        await connection.OpenAsync(cancel);
        try
        {
            await using var create = new NpgsqlCommand($"CREATE DATABASE {Database}", connection);
            await create.ExecuteNonQueryAsync(cancel);
        }
        catch (PostgresException error) when (error.SqlState is PostgresErrorCodes.DuplicateDatabase or PostgresErrorCodes.UniqueViolation)
        {
            // It is there already, or another process has just made it.
        }
    }

    private string Connection(string database) => new NpgsqlConnectionStringBuilder
    {
        Host = "127.0.0.1",
        Port = Port,
        Username = User,
        Password = File.ReadAllText(PathOf("password")),
        Database = database,
        IncludeErrorDetail = true,
    }.ConnectionString;

    private string PathOf(string name) => Path.Combine(_folder, name);

    private static async Task<FileStream> Lock(string path, FileAccess access, FileShare share, CancellationToken cancel)
    {
        while (true)
        {
            if (TryLock(path, access, share) is { } held)
                return held;
            await Task.Delay(50, cancel);
        }
    }

    private static FileStream? TryLock(string path, FileAccess access, FileShare share)
    {
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, access, share);
        }
        catch (IOException)
        {
            return null;
        }
    }
}
